#pragma once
#include "litert/cc/litert_expected.h"

namespace litert {

class TensorBuffer {
 public:
  TensorBuffer(TensorBuffer&&) = default;
  template <typename T>
  Expected<void> Write(Span<const T> data);
  template <typename T>
  Expected<void> Read(Span<T> data);
};

}  // namespace litert
