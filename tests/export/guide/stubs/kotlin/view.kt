package android.view

import android.content.Context

open class View(private val context: Context) {
    fun getContext(): Context = context

    fun setContentDescription(text: CharSequence?): Unit = TODO("$text")

    fun setFitsSystemWindows(fits: Boolean): Unit = TODO("$fits")

    fun setOnClickListener(listener: (View) -> Unit): Unit = TODO("$listener")
}

abstract class ViewGroup(context: Context) : View(context) {
    fun addView(child: View): Unit = TODO("$child")

    fun addView(child: View, width: Int, height: Int): Unit = TODO("$child $width $height")
}
