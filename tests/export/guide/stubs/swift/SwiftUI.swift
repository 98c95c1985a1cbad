// What the projects of `pocketvae app` use of SwiftUI, as Apple's documentation declares it.
import CoreGraphics
import Foundation

@MainActor @preconcurrency
public protocol View {
    associatedtype Body: View

    @ViewBuilder var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError() }
}

public struct Group<Content>: View {
    public var body: Never { return fatalError() }
}

@resultBuilder
public enum ViewBuilder {
    public static func buildBlock<each Content: View>(_ content: repeat each Content) -> Group<(repeat each Content)> {
        fatalError()
    }
}

@propertyWrapper
public struct State<Value> {
    public init(wrappedValue: Value) {}

    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set { fatalError() }
    }

    public var projectedValue: Binding<Value> { fatalError() }
}

public struct Binding<Value> {}

public struct LocalizedStringKey: ExpressibleByStringInterpolation {
    public init(stringLiteral value: String) {}
}

public struct GridItem: Sendable {
    public enum Size: Sendable { case flexible(minimum: CGFloat = 10, maximum: CGFloat = .infinity) }

    public init(_ size: Size, spacing: CGFloat?) {}
}

public struct LazyVGrid<Content: View>: View {
    public init(columns: [GridItem], spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}

    public var body: Never { return fatalError() }
}

public struct VStack<Content: View>: View {
    public init(spacing: CGFloat? = nil, @ViewBuilder content: () -> Content) {}

    public var body: Never { return fatalError() }
}

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content: View>: View {
    public init(_ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content) {}

    public var body: Never { return fatalError() }
}

public struct Image: View {
    public enum Interpolation: Sendable { case none, low, medium, high }

    public init(decorative cgImage: CGImage, scale: CGFloat) {}

    public func interpolation(_ interpolation: Interpolation) -> Image { self }

    public func resizable() -> Image { self }

    public var body: Never { return fatalError() }
}

public struct Text: View {
    public init<S: StringProtocol>(_ content: S) {}

    public var body: Never { return fatalError() }
}

public struct Stepper: View {
    public init<V: Strideable>(
        _ titleKey: LocalizedStringKey, value: Binding<V>, in bounds: ClosedRange<V>, step: V.Stride = 1
    ) {}

    public var body: Never { return fatalError() }
}

extension View {
    public func scaledToFit() -> some View { self }

    public func padding() -> some View { self }

    public func task<T: Equatable>(id value: T, _ action: @escaping @Sendable () async -> Void) -> some View { self }
}
