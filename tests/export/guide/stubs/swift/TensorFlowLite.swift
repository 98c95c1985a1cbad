// What EMBED.md uses of TensorFlowLiteSwift, with the signatures of its Interpreter.swift and SignatureRunner.swift.
import Foundation

public final class Interpreter {
    public struct Options {
        public var threadCount: Int?

        public init() {}
    }

    public init(modelPath: String, options: Options? = nil, delegates: [Delegate]? = nil) throws {}

    public func signatureRunner(with key: String) throws -> SignatureRunner { fatalError() }
}

public protocol Delegate: AnyObject {}

public final class SignatureRunner {
    public func allocateTensors() throws {}

    public func invoke(with inputs: [String: Data]) throws {}

    public func output(named name: String) throws -> Tensor { fatalError() }
}

public struct Tensor {
    public let name: String
    public let data: Data
}
