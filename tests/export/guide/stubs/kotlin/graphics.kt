package android.graphics

class Bitmap private constructor(private val colors: IntArray, val width: Int, val height: Int) {
    enum class Config { ALPHA_8, RGB_565, ARGB_8888 }

    fun getPixel(x: Int, y: Int): Int = colors[y * width + x]

    companion object {
        @JvmStatic
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap =
            Bitmap(colors, width, height).also { check(config == Config.ARGB_8888) }
    }
}

object Color {
    @JvmStatic
    fun rgb(red: Int, green: Int, blue: Int): Int = (0xff shl 24) or (red shl 16) or (green shl 8) or blue
}
