package android.app

import android.content.Context

abstract class Instrumentation {
    abstract val context: Context
}
