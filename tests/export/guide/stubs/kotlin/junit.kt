package org.junit

@Target(AnnotationTarget.FUNCTION)
annotation class Test

object Assert {
    @JvmStatic
    fun assertTrue(message: String, condition: Boolean): Unit = check(condition) { message }
}
