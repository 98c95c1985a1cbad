// What EMBED.md uses of onnxruntime-objc, as Swift sees what ort_env.h, ort_session.h and ort_value.h declare.
import Foundation

public enum ORTLoggingLevel: Int32 { case verbose, info, warning, error, fatal }

public enum ORTTensorElementDataType: Int32 { case undefined, float, int8, uInt8, int32, uInt32, int64, uInt64, string }

open class ORTEnv {
    public init(loggingLevel: ORTLoggingLevel) throws {}
}

open class ORTSessionOptions {
    public init() throws {}

    open func setIntraOpNumThreads(_ intraOpNumThreads: Int32) throws {}
}

open class ORTRunOptions {}

open class ORTSession {
    public init(env: ORTEnv, modelPath path: String, sessionOptions: ORTSessionOptions?) throws {}

    open func run(
        withInputs inputs: [String: ORTValue], outputNames: Set<String>, runOptions: ORTRunOptions?
    ) throws -> [String: ORTValue] { [:] }
}

open class ORTValue {
    public init(tensorData: NSMutableData, elementType: ORTTensorElementDataType, shape: [NSNumber]) throws {}

    open func tensorData() throws -> NSMutableData { fatalError() }
}
