// What EMBED.md uses of LiteRT 2's C++ interface, with its signatures; bodies are left to the library.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace litert {

using StringView = std::string_view;

template <typename T>
class Span {
 public:
  Span(T* data, size_t size);
  template <typename Container>
  Span(Container& values);  // NOLINT: as absl::Span, implicit
};

class Error {
 public:
  const std::string& Message() const;
};

template <typename T>
class Expected {
 public:
  explicit operator bool() const;
  T& operator*() &;
  const litert::Error& Error() const&;
};

template <>
class Expected<void> {
 public:
  explicit operator bool() const;
  const litert::Error& Error() const&;
};

}  // namespace litert
