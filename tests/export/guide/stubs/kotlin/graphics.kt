package android.graphics

class Bitmap private constructor() {
    enum class Config { ALPHA_8, RGB_565, ARGB_8888 }

    companion object {
        @JvmStatic
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap =
            TODO("$colors $width $height $config")
    }
}

object Color {
    @JvmStatic
    fun rgb(red: Int, green: Int, blue: Int): Int = (0xff shl 24) or (red shl 16) or (green shl 8) or blue
}
