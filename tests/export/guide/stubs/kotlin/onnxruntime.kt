// What the instrumented test uses of onnxruntime for Android, with the signatures of its Java API.
package ai.onnxruntime

import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.IntBuffer
import java.util.Optional

enum class OnnxJavaType { FLOAT, INT8, UINT8, INT16, INT32, INT64 }

interface OnnxValue : AutoCloseable

class OnnxTensor private constructor() : OnnxValue {
    val floatBuffer: FloatBuffer = TODO()
    val intBuffer: IntBuffer = TODO()
    val byteBuffer: ByteBuffer = TODO()

    override fun close() = Unit

    companion object {
        @JvmStatic
        fun createTensor(env: OrtEnvironment, data: ByteBuffer, shape: LongArray, type: OnnxJavaType): OnnxTensor =
            TODO("$env $data $shape $type")
    }
}

class OrtEnvironment private constructor() {
    fun createSession(modelArray: ByteArray): OrtSession = TODO("$modelArray")

    companion object {
        @JvmStatic
        fun getEnvironment(): OrtEnvironment = TODO()
    }
}

class OrtSession private constructor() : AutoCloseable {
    class Result private constructor() : AutoCloseable {
        fun get(key: String): Optional<OnnxValue> = TODO(key)

        override fun close() = Unit
    }

    fun run(inputs: Map<String, OnnxTensor>): Result = TODO("$inputs")

    override fun close() = Unit
}
