// An artifact in one of the runtimes, and what can be wrong with it.

#pragma once

#include <dlfcn.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "arrays.h"
#include "json.h"

// What becomes the `error` of a response; see core/processes/failures.py.
struct Fault : std::runtime_error {
  Fault(std::string kind, const std::string& message, std::string failed_check = "")
      : std::runtime_error(message), type(std::move(kind)), check(std::move(failed_check)) {}

  std::string type, check;
};

// Blames the artifact.
inline Fault artifact_fault(const std::string& check, const std::string& message) {
  return Fault("ArtifactFault", message, check);
}

// Blames the device or what is installed on it.
inline Fault target_error(const std::string& message) { return Fault("TargetError", message); }

struct Job {
  std::string location, format, accelerator;
  bool is_optimized;
  int threads, batch, timed_calls;

  explicit Job(const json::Value& said)
      : location(said["location"].text),
        format(said["format"].text),
        accelerator(said["accelerator"].text),
        is_optimized(said["optimizations"].text != "builtin"),
        threads(static_cast<int>(said["threads"].number)),
        batch(static_cast<int>(said["batch"].number)),
        timed_calls(static_cast<int>(said["timed_calls"].number)) {}
};

struct Port {
  std::string name, dtype;
  std::vector<int64_t> shape;
};

class Model {
 public:
  virtual ~Model() = default;

  // Runs once; inputs and outputs have the sizes of one batch. Outputs are overwritten.
  virtual void run(const Arrays& inputs, Arrays& outputs) = 0;

  std::vector<Port> inputs, outputs;
  std::map<std::string, double> figures;
};

// A shared library of a runtime, opened when it is first asked for.
class Library {
 public:
  explicit Library(const char* name) : name_(name), handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) said_ = dlerror();
  }

  bool is_open() const { return handle_ != nullptr; }

  // Returns a function; null where the library does not have it.
  template <typename Function>
  Function* find(const char* symbol) const {
    return handle_ == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(handle_, symbol));
  }

  template <typename Function>
  Function* get(const char* symbol) const {
    if (handle_ == nullptr) throw target_error(std::string(name_) + " cannot be loaded: " + said_);
    if (Function* found = find<Function>(symbol)) return found;
    throw target_error(std::string(name_) + " does not have the function " + symbol + ": another version is needed");
  }

 private:
  const char* name_;
  void* handle_;
  std::string said_;
};

// Returns the output arrays that a model's ports describe, for one call.
inline Arrays empty_arrays(const std::vector<Port>& ports) {
  Arrays arrays;
  for (const Port& port : ports) {
    const auto size = static_cast<size_t>(count_of(port.shape)) * type_named(port.dtype).size_bytes;
    arrays[port.name] = Array{port.dtype, port.shape, std::vector<uint8_t>(size)};
  }
  return arrays;
}

std::unique_ptr<Model> open_litert(const Job& job);
std::unique_ptr<Model> open_tflite(const Job& job);
std::unique_ptr<Model> open_onnxruntime(const Job& job);

// Makes what an app makes once for all its files.
void prepare_onnxruntime();

// Whether the library of a runtime is there, and its version where it says.
bool has_litert();
bool has_tflite();
bool has_onnxruntime();
std::string tflite_version();
std::string onnxruntime_version();
