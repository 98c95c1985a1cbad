#pragma once
#include "litert/cc/litert_environment.h"
#include "litert/cc/litert_expected.h"
#include "litert/cc/litert_tensor_buffer.h"

namespace litert {

enum class HwAccelerators { kNone = 0, kCpu = 1, kGpu = 2, kNpu = 4 };

class CompiledModel {
 public:
  CompiledModel(CompiledModel&&) = default;
  static Expected<CompiledModel> Create(Environment& environment, const std::string& file, HwAccelerators accelerators);
  Expected<std::vector<TensorBuffer>> CreateInputBuffers() const;
  Expected<std::vector<TensorBuffer>> CreateOutputBuffers() const;
  Expected<std::vector<StringView>> GetSignatureInputNames() const;
  Expected<std::vector<StringView>> GetSignatureOutputNames() const;
  Expected<void> Run(Span<const TensorBuffer> inputs, Span<const TensorBuffer> outputs) const;
};

}  // namespace litert
