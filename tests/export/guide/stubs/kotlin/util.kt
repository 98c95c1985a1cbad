package android.util

class DisplayMetrics internal constructor() {
    @JvmField var widthPixels: Int = 0
}
