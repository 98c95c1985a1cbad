// ONNX files in onnxruntime: the C functions of libonnxruntime.so, which its AAR and its Python wheel hold.
//
// OrtGetApiBase returns a table of functions that only ever grows at its end, so a place in it is a function for good.
// The places are those of the documented onnxruntime_c_api.h, and a test calls each of them.

#include "captured_stderr.h"
#include "model.h"

namespace {

enum Place : size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetOptimization = 23,
  kSetThreads = 24,
  kInputCount = 30,
  kOutputCount = 31,
  kInputType = 33,
  kOutputType = 34,
  kInputName = 36,
  kOutputName = 37,
  kCreateTensor = 49,
  kTensorInfo = 55,
  kElementType = 60,
  kRank = 61,
  kDimensions = 62,
  kCpuMemory = 69,
  kFree = 76,
  kAllocator = 78,
  kReleaseStatus = 93,
  kReleaseMemory = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseType = 98,
  kReleaseOptions = 100,
  kAddConfig = 130,
  kAppendProvider = 216,
};

// The first version with all of them.
constexpr uint32_t kApiVersion = 12;
constexpr int kAllOptimizations = 99, kNoOptimizations = 0, kWarnings = 2;

using Handle = void*;

struct ApiBase {
  const Handle* (*get_api)(uint32_t version);
  const char* (*version)();
};

const Library& library() {
  static const Library kLibrary("libonnxruntime.so");
  return kLibrary;
}

const ApiBase& base() { return *library().get<const ApiBase*()>("OrtGetApiBase")(); }

const Handle* api() {
  static const Handle* const kApi = base().get_api(kApiVersion);
  if (kApi == nullptr) {
    throw target_error("libonnxruntime.so must be of version 1.12 or newer, got " + std::string(base().version()));
  }
  return kApi;
}

template <typename Result, typename... Arguments>
Result call(Place place, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(api()[place])(arguments...);
}

// Calls what returns a status.
template <typename... Arguments>
void must(Place place, Arguments... arguments) {
  const Handle status = call<Handle>(place, arguments...);
  if (status == nullptr) return;
  const std::string said = call<const char*>(kGetErrorMessage, status);
  call<void>(kReleaseStatus, status);
  throw std::runtime_error(said);
}

// What an app makes once for all its sessions.
Handle environment() {
  static Handle made = nullptr;
  if (made == nullptr) must(kCreateEnv, kWarnings, "pocketvae", &made);
  return made;
}

class OnnxModel : public Model {
 public:
  explicit OnnxModel(const Job& job) {
    must(kCpuMemory, 0, 0, &memory_);
    must(kAllocator, &allocator_);
    must(kCreateSessionOptions, &options_);
    must(kSetThreads, options_, job.threads);
    must(kSetOptimization, options_, job.is_optimized ? kAllOptimizations : kNoOptimizations);
    if (job.accelerator != "cpu") append_provider(job.accelerator);
    CapturedStderr said;
    try {
      must(kCreateSession, environment(), job.location.c_str(), options_, &session_);
    } catch (const std::runtime_error& error) {
      if (job.accelerator != "cpu") {
        throw target_error(job.accelerator + " does not take the whole graph: " + error.what());
      }
      throw artifact_fault("loads", std::string("onnxruntime cannot load it: ") + error.what());
    }
    read_ports(kInputCount, kInputName, kInputType, job.batch, inputs);
    read_ports(kOutputCount, kOutputName, kOutputType, job.batch, outputs);
  }

  ~OnnxModel() override {
    if (session_ != nullptr) call<void>(kReleaseSession, session_);
    if (options_ != nullptr) call<void>(kReleaseOptions, options_);
    if (memory_ != nullptr) call<void>(kReleaseMemory, memory_);
  }

  void run(const Arrays& given, Arrays& results) override {
    std::vector<Handle> values;
    std::vector<const char*> names;
    for (const Port& port : inputs) add(const_cast<Array&>(given.at(port.name)), port.name, names, values);
    for (const Port& port : outputs) add(results.at(port.name), port.name, names, values);
    const size_t first = inputs.size();
    try {
      must(kRun, session_, static_cast<Handle>(nullptr), names.data(), values.data(), first, names.data() + first,
           outputs.size(), values.data() + first);
    } catch (...) {
      release(values);
      throw;
    }
    release(values);
  }

 private:
  static void release(const std::vector<Handle>& values) {
    for (const Handle value : values) call<void>(kReleaseValue, value);
  }

  void add(Array& array, const std::string& name, std::vector<const char*>& names, std::vector<Handle>& values) {
    Handle value = nullptr;
    must(kCreateTensor, memory_, static_cast<void*>(array.data.data()), array.data.size(),
         static_cast<const int64_t*>(array.shape.data()), array.shape.size(), type_named(array.dtype).onnx, &value);
    names.push_back(name.c_str());
    values.push_back(value);
  }

  void append_provider(const std::string& accelerator) {
    // What the accelerator does not take would go to the CPU without a word.
    must(kAddConfig, options_, "session.disable_cpu_ep_fallback", "1");
    if (accelerator == "nnapi") {
      auto* append = library().find<Handle(Handle, uint32_t)>("OrtSessionOptionsAppendExecutionProvider_Nnapi");
      if (append == nullptr) throw target_error("this libonnxruntime.so does not have NNAPI");
      if (append(options_, 0) != nullptr) throw target_error("onnxruntime cannot use NNAPI on this device");
      return;
    }
    const char* keys[] = {"backend_path"};
    const char* values[] = {"libQnnHtp.so"};
    const bool is_qnn = accelerator == "qnn";
    try {
      must(kAppendProvider, options_, is_qnn ? "QNN" : "XNNPACK", keys, values, is_qnn ? size_t{1} : size_t{0});
    } catch (const std::runtime_error& error) {
      throw target_error("onnxruntime cannot use " + accelerator + " on this device: " + error.what());
    }
  }

  void read_ports(Place count_place, Place name_place, Place type_place, int batch, std::vector<Port>& ports) {
    size_t count = 0;
    must(count_place, session_, &count);
    for (size_t index = 0; index < count; ++index) {
      char* name = nullptr;
      Handle type = nullptr, tensor = nullptr;
      must(name_place, session_, index, allocator_, &name);
      must(type_place, session_, index, &type);
      must(kTensorInfo, type, &tensor);
      int element = 0;
      size_t rank = 0;
      must(kElementType, tensor, &element);
      must(kRank, tensor, &rank);
      std::vector<int64_t> shape(rank);
      must(kDimensions, tensor, shape.data(), rank);
      // A file of several batch sizes leaves its first dimension open.
      for (int64_t& size : shape) size = size < 0 ? batch : size;
      ports.push_back({name, onnx_type(element).name, shape});
      must(kFree, allocator_, static_cast<void*>(name));
      call<void>(kReleaseType, type);
    }
  }

  Handle memory_ = nullptr, allocator_ = nullptr, options_ = nullptr, session_ = nullptr;
};

}  // namespace

std::unique_ptr<Model> open_onnxruntime(const Job& job) { return std::make_unique<OnnxModel>(job); }

void prepare_onnxruntime() { environment(); }

bool has_onnxruntime() { return library().is_open(); }

std::string onnxruntime_version() { return base().version(); }
