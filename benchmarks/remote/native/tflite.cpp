// TFLite files in TensorFlow Lite and LiteRT 1: the C functions of libtensorflowlite_jni.so in their AAR, or of
// libtensorflowlite_c.so. The declarations are written after the documented c_api.h and c_api_experimental.h, of a
// version that has signature runners.

#include <cstring>

#include "captured_stderr.h"
#include "model.h"

namespace {

using Handle = void*;

const Library& library() {
  static const Library kNames[] = {Library("libtensorflowlite_c.so"), Library("libtensorflowlite_jni.so")};
  return kNames[kNames[0].is_open() ? 0 : 1];
}

template <typename Result, typename... Arguments>
Result call(const char* symbol, Arguments... arguments) {
  return (*library().get<Result(Arguments...)>(symbol))(arguments...);
}

void must(const char* symbol, int status) {
  if (status != 0) throw std::runtime_error(std::string(symbol) + " failed with status " + std::to_string(status));
}

Port port_of(const char* name, Handle tensor) {
  Port port{name, litert_type(call<int>("TfLiteTensorType", tensor)).name, {}};
  const int rank = call<int>("TfLiteTensorNumDims", tensor);
  for (int axis = 0; axis < rank; ++axis) port.shape.push_back(call<int>("TfLiteTensorDim", tensor, axis));
  return port;
}

class TfLiteModel : public Model {
 public:
  explicit TfLiteModel(const Job& job) {
    CapturedStderr said;
    file_ = call<Handle>("TfLiteModelCreateFromFile", job.location.c_str());
    const std::string failed = "TensorFlow Lite cannot load it: ";
    if (file_ == nullptr) throw artifact_fault("loads", failed + said.last_line("no reason"));
    options_ = call<Handle>("TfLiteInterpreterOptionsCreate");
    call<void>("TfLiteInterpreterOptionsSetNumThreads", options_, job.threads);
    interpreter_ = call<Handle>("TfLiteInterpreterCreate", file_, options_);
    if (interpreter_ == nullptr) throw artifact_fault("loads", failed + said.last_line("no reason"));
    find_runner(job.batch);
    read_ports();
  }

  ~TfLiteModel() override {
    if (runner_ != nullptr) call<void>("TfLiteSignatureRunnerDelete", runner_);
    if (interpreter_ != nullptr) call<void>("TfLiteInterpreterDelete", interpreter_);
    if (options_ != nullptr) call<void>("TfLiteInterpreterOptionsDelete", options_);
    if (file_ != nullptr) call<void>("TfLiteModelDelete", file_);
  }

  void run(const Arrays& given, Arrays& results) override {
    for (const Port& port : inputs) {
      const Array& array = given.at(port.name);
      const Handle tensor = call<Handle>("TfLiteSignatureRunnerGetInputTensor", runner_, port.name.c_str());
      must("TfLiteTensorCopyFromBuffer", call<int>("TfLiteTensorCopyFromBuffer", tensor,
                                                   static_cast<const void*>(array.data.data()), array.data.size()));
    }
    must("TfLiteSignatureRunnerInvoke", call<int>("TfLiteSignatureRunnerInvoke", runner_));
    for (const Port& port : outputs) {
      Array& array = results.at(port.name);
      const Handle tensor = call<Handle>("TfLiteSignatureRunnerGetOutputTensor", runner_, port.name.c_str());
      must("TfLiteTensorCopyToBuffer",
           call<int>("TfLiteTensorCopyToBuffer", tensor, static_cast<void*>(array.data.data()), array.data.size()));
    }
  }

 private:
  void find_runner(int batch) {
    const int count = call<int>("TfLiteInterpreterGetSignatureCount", interpreter_);
    for (int index = 0; index < count; ++index) {
      const char* key = call<const char*>("TfLiteInterpreterGetSignatureKey", interpreter_, index);
      runner_ = call<Handle>("TfLiteInterpreterGetSignatureRunner", interpreter_, key);
      must("TfLiteSignatureRunnerAllocateTensors", call<int>("TfLiteSignatureRunnerAllocateTensors", runner_));
      const char* first = call<const char*>("TfLiteSignatureRunnerGetInputName", runner_, 0);
      const Handle tensor = call<Handle>("TfLiteSignatureRunnerGetInputTensor", runner_, first);
      if (call<int>("TfLiteTensorDim", tensor, 0) == batch) return;
      call<void>("TfLiteSignatureRunnerDelete", runner_);
      runner_ = nullptr;
    }
    throw artifact_fault("interface", "no signature takes " + std::to_string(batch) + " samples");
  }

  void read_ports() {
    const auto input_count = call<size_t>("TfLiteSignatureRunnerGetInputCount", runner_);
    for (size_t index = 0; index < input_count; ++index) {
      const char* name = call<const char*>("TfLiteSignatureRunnerGetInputName", runner_, static_cast<int>(index));
      inputs.push_back(port_of(name, call<Handle>("TfLiteSignatureRunnerGetInputTensor", runner_, name)));
    }
    const auto output_count = call<size_t>("TfLiteSignatureRunnerGetOutputCount", runner_);
    for (size_t index = 0; index < output_count; ++index) {
      const char* name = call<const char*>("TfLiteSignatureRunnerGetOutputName", runner_, static_cast<int>(index));
      outputs.push_back(port_of(name, call<Handle>("TfLiteSignatureRunnerGetOutputTensor", runner_, name)));
    }
  }

  Handle file_ = nullptr, options_ = nullptr, interpreter_ = nullptr, runner_ = nullptr;
};

}  // namespace

std::unique_ptr<Model> open_tflite(const Job& job) {
  if (job.accelerator != "cpu") {
    throw target_error("TensorFlow Lite's C library runs files on the CPU, not on " + job.accelerator +
                       ": use libLiteRt.so");
  }
  if (!job.is_optimized) throw target_error("TensorFlow Lite's C library does not run files without XNNPACK");
  return std::make_unique<TfLiteModel>(job);
}

bool has_tflite() { return library().is_open(); }

std::string tflite_version() { return call<const char*>("TfLiteVersion"); }
