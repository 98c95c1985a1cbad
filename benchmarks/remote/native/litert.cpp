// TFLite files in LiteRT 2: the C functions of libLiteRt.so, which the AAR of LiteRT and its Python wheel hold.
//
// The declarations are written after LiteRT's documented C API (litert/c), whose headers come with neither. The function
// that opens a file takes an environment in 2.1.6 and newer, and not in 2.1.0: the older form is tried where the newer
// one fails.

#include <cstring>

#include "captured_stderr.h"
#include "model.h"

namespace {

constexpr int kOk = 0, kCpu = 1, kGpu = 2, kRead = 0, kWrite = 1;
constexpr uint32_t kRankBits = 0x7F;

using Handle = void*;
using Status = int;
using Index = size_t;

struct TensorType {
  int element_type;
  uint32_t rank;
  int32_t dimensions[8];
  uint8_t rest[64];
};

// Owns what a C function has made.
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (handle != nullptr) destroy(handle);
  }

  Handle handle = nullptr;
  void (*destroy)(Handle) = nullptr;
};

const Library& library() {
  static const Library kLibrary("libLiteRt.so");
  return kLibrary;
}

template <typename... Arguments>
Status call(const char* symbol, Arguments... arguments) {
  return (*library().get<Status(Arguments...)>(symbol))(arguments...);
}

template <typename... Arguments>
void must(const char* symbol, Arguments... arguments) {
  const Status status = call(symbol, arguments...);
  if (status != kOk) throw std::runtime_error(std::string(symbol) + " failed with status " + std::to_string(status));
}

void open_file(const Owned& environment, const std::string& path, Owned& model) {
  model.destroy = library().get<void(Handle)>("LiteRtDestroyModel");
  Status status = call("LiteRtCreateModelFromFile", environment.handle, path.c_str(), &model.handle);
  // An older LiteRT took the environment for the file's name and found no such file.
  if (status != kOk) status = call("LiteRtCreateModelFromFile", path.c_str(), &model.handle, &model.handle);
  if (status != kOk || model.handle == nullptr) {
    throw artifact_fault("loads", "LiteRT cannot load it: status " + std::to_string(status));
  }
}

void add_options(Handle options, const char* kind, const std::string& toml) {
  Handle part = nullptr;
  char* text = static_cast<char*>(std::malloc(toml.size() + 1));
  std::memcpy(text, toml.c_str(), toml.size() + 1);
  must("LiteRtCreateOpaqueOptions", kind, static_cast<Handle>(text), &std::free, &part);
  must("LiteRtAddOpaqueOptions", options, part);
}

class LiteRtModel : public Model {
 public:
  explicit LiteRtModel(const Job& job) : is_gpu_(job.accelerator == "gpu") {
    environment_.destroy = library().get<void(Handle)>("LiteRtDestroyEnvironment");
    must("LiteRtCreateEnvironment", 0, static_cast<const void*>(nullptr), &environment_.handle);
    open_file(environment_, job.location, file_);
    const Handle signature = find_signature(job.batch);
    read_ports(signature, "Input", inputs, input_types_);
    read_ports(signature, "Output", outputs, output_types_);
    compile(job);
    make_buffers("Input", input_types_, input_buffers_);
    make_buffers("Output", output_types_, output_buffers_);
  }

  ~LiteRtModel() override {
    auto* destroy = library().find<void(Handle)>("LiteRtDestroyTensorBuffer");
    for (const Handle buffer : input_buffers_) destroy(buffer);
    for (const Handle buffer : output_buffers_) destroy(buffer);
  }

  void run(const Arrays& given, Arrays& results) override {
    for (size_t index = 0; index < inputs.size(); ++index) {
      const Array& array = given.at(inputs[index].name);
      const auto write = [&](void* memory) { std::memcpy(memory, array.data.data(), array.data.size()); };
      copy(input_buffers_[index], kWrite, write);
    }
    must("LiteRtRunCompiledModel", compiled_.handle, signature_, input_buffers_.size(), input_buffers_.data(),
         output_buffers_.size(), output_buffers_.data());
    for (size_t index = 0; index < outputs.size(); ++index) {
      Array& array = results.at(outputs[index].name);
      const auto read = [&](void* memory) { std::memcpy(array.data.data(), memory, array.data.size()); };
      copy(output_buffers_[index], kRead, read);
    }
  }

 private:
  template <typename Work>
  static void copy(Handle buffer, int mode, Work work) {
    void* memory = nullptr;
    must("LiteRtLockTensorBuffer", buffer, &memory, mode);
    work(memory);
    must("LiteRtUnlockTensorBuffer", buffer);
  }

  Handle find_signature(int batch) {
    Index count = 0;
    must("LiteRtGetNumModelSignatures", file_.handle, &count);
    for (signature_ = 0; signature_ < count; ++signature_) {
      Handle signature = nullptr, tensor = nullptr;
      must("LiteRtGetModelSignature", file_.handle, signature_, &signature);
      must("LiteRtGetSignatureInputTensorByIndex", signature, Index{0}, &tensor);
      TensorType type{};
      must("LiteRtGetRankedTensorType", tensor, &type);
      if ((type.rank & kRankBits) > 0 && type.dimensions[0] == batch) return signature;
    }
    throw artifact_fault("interface", "no signature takes " + std::to_string(batch) + " samples");
  }

  static void read_ports(Handle signature, const std::string& side, std::vector<Port>& ports,
                         std::vector<TensorType>& types) {
    Index count = 0;
    must(("LiteRtGetNumSignature" + side + "s").c_str(), signature, &count);
    for (Index index = 0; index < count; ++index) {
      const char* name = nullptr;
      Handle tensor = nullptr;
      TensorType type{};
      must(("LiteRtGetSignature" + side + "Name").c_str(), signature, index, &name);
      must(("LiteRtGetSignature" + side + "TensorByIndex").c_str(), signature, index, &tensor);
      must("LiteRtGetRankedTensorType", tensor, &type);
      Port port{name, litert_type(type.element_type).name, {}};
      for (uint32_t axis = 0; axis < (type.rank & kRankBits); ++axis) port.shape.push_back(type.dimensions[axis]);
      ports.push_back(std::move(port));
      types.push_back(type);
    }
  }

  void compile(const Job& job) {
    Owned options;
    options.destroy = library().get<void(Handle)>("LiteRtDestroyOptions");
    must("LiteRtCreateOptions", &options.handle);
    must("LiteRtSetOptionsHardwareAccelerators", options.handle, is_gpu_ ? kGpu : kCpu);
    if (!is_gpu_) {
      const std::string threads = "num_threads = " + std::to_string(job.threads) + "\n";
      // 0 is XNNPACK, 2 the built-in kernels without it.
      add_options(options.handle, "xnnpack", threads + "kernel_mode = " + (job.is_optimized ? "0" : "2") + "\n");
    }
    compiled_.destroy = library().get<void(Handle)>("LiteRtDestroyCompiledModel");
    CapturedStderr said;
    const Status status =
        call("LiteRtCreateCompiledModel", environment_.handle, file_.handle, options.handle, &compiled_.handle);
    if (status == kOk) {
      bool is_whole = false;
      if (is_gpu_) must("LiteRtCompiledModelIsFullyAccelerated", compiled_.handle, &is_whole);
      if (is_gpu_) figures["fully_accelerated"] = is_whole ? 1 : 0;
      return;
    }
    const std::string code = "status " + std::to_string(status);
    if (is_gpu_) throw target_error(said.text() + "\nLiteRtCreateCompiledModel failed with " + code);
    throw artifact_fault("loads", "LiteRT cannot load it: " + said.last_line(code));
  }

  void make_buffers(const std::string& side, std::vector<TensorType>& types, std::vector<Handle>& buffers) {
    for (Index index = 0; index < types.size(); ++index) {
      Handle requirements = nullptr, buffer = nullptr;
      must(("LiteRtGetCompiledModel" + side + "BufferRequirements").c_str(), compiled_.handle, signature_, index,
           &requirements);
      must("LiteRtCreateManagedTensorBufferFromRequirements", environment_.handle, &types[index], requirements,
           &buffer);
      buffers.push_back(buffer);
    }
  }

  bool is_gpu_;
  Owned environment_, file_, compiled_;
  Index signature_ = 0;
  std::vector<TensorType> input_types_, output_types_;
  std::vector<Handle> input_buffers_, output_buffers_;
};

}  // namespace

std::unique_ptr<Model> open_litert(const Job& job) {
  if (job.accelerator != "cpu" && job.accelerator != "gpu") {
    throw target_error("LiteRT runs TFLite files on cpu or gpu, not on " + job.accelerator);
  }
  return std::make_unique<LiteRtModel>(job);
}

bool has_litert() { return library().is_open(); }
