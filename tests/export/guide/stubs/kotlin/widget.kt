package android.widget

import android.content.Context
import android.graphics.Bitmap
import android.text.Editable
import android.view.View
import android.view.ViewGroup

open class TextView(context: Context) : View(context) {
    fun setText(text: CharSequence): Unit = TODO("$text")

    open fun getText(): CharSequence = TODO()

    fun setInputType(type: Int): Unit = TODO("$type")
}

class EditText(context: Context) : TextView(context) {
    override fun getText(): Editable = TODO()
}

class Button(context: Context) : TextView(context)

class ImageView(context: Context) : View(context) {
    fun setImageBitmap(bitmap: Bitmap?): Unit = TODO("$bitmap")
}

class ScrollView(context: Context) : ViewGroup(context)

class LinearLayout(context: Context) : ViewGroup(context) {
    fun setOrientation(orientation: Int): Unit = TODO("$orientation")

    companion object {
        const val VERTICAL = 1
    }
}

class GridLayout(context: Context) : ViewGroup(context) {
    fun setColumnCount(count: Int): Unit = TODO("$count")
}
