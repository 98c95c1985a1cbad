// What the projects of `pocketvae app` use of android.app, with the signatures of the platform's documentation.
package android.app

import android.content.Context
import android.content.res.AssetManager
import android.os.Bundle
import android.view.View

open class Activity : Context() {
    override val assets: AssetManager get() = TODO()

    protected open fun onCreate(savedInstanceState: Bundle?): Unit = TODO("$savedInstanceState")

    protected open fun onDestroy(): Unit = TODO()

    fun setContentView(view: View): Unit = TODO("$view")

    // A Runnable in Java, which Kotlin takes a lambda for.
    fun runOnUiThread(action: () -> Unit): Unit = TODO("$action")
}
