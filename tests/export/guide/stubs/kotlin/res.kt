package android.content.res

import java.io.InputStream

class AssetManager internal constructor() {
    fun open(fileName: String): InputStream = TODO(fileName)
}

class Resources internal constructor() {
    fun getDisplayMetrics(): android.util.DisplayMetrics = TODO()
}
