package android.content

import android.content.res.AssetManager
import android.content.res.Resources

abstract class Context {
    abstract val assets: AssetManager

    fun getResources(): Resources = TODO()
}
