// What EMBED.md uses of LiteRT 2 for Android, with the signatures of its Model.kt and TensorBuffer.kt.
package com.google.ai.edge.litert

import android.content.res.AssetManager

class LiteRtException(message: String) : Exception(message)

enum class Accelerator { NONE, CPU, GPU, NPU }

abstract class JniHandle internal constructor(internal val handle: Long) : AutoCloseable {
    protected abstract fun destroy()

    final override fun close() = destroy()
}

class Environment private constructor(handle: Long) : JniHandle(handle) {
    override fun destroy() = Unit
}

class TensorBuffer internal constructor(handle: Long) : JniHandle(handle) {
    fun writeInt(data: IntArray): Unit = TODO("$data")

    fun writeFloat(data: FloatArray): Unit = TODO("$data")

    fun writeInt8(data: ByteArray): Unit = TODO("$data")

    fun readFloat(): FloatArray = TODO()

    fun readInt(): IntArray = TODO()

    fun readInt8(): ByteArray = TODO()

    override fun destroy() = Unit
}

class CompiledModel private constructor(handle: Long) : JniHandle(handle) {
    class Options constructor(internal vararg val accelerators: Accelerator) {
        companion object {
            @JvmStatic val CPU = Options(Accelerator.CPU)
        }
    }

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = TODO("$inputName $signature")

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = TODO("$outputName $signature")

    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0): Unit =
        TODO("$inputs $outputs $signatureIndex")

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null): Unit =
        TODO("$inputs $outputs $signature")

    override fun destroy() = Unit

    companion object {
        @JvmStatic
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel = TODO("$assetManager $assetName $options $optionalEnv")

        @JvmStatic
        fun create(filePath: String, options: Options = Options.CPU, optionalEnv: Environment? = null): CompiledModel =
            TODO("$filePath $options $optionalEnv")
    }
}
