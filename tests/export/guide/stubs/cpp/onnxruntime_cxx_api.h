// What EMBED.md uses of onnxruntime's C++ interface, with its signatures; bodies are left to the library.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#define ORTCHAR_T char
#define ORT_TSTR(text) text

enum OrtAllocatorType { OrtDeviceAllocator = 0, OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeCPU = -1, OrtMemTypeDefault = 0 };
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
struct OrtMemoryInfo;

namespace Ort {

struct Env {
  Env(OrtLoggingLevel level, const char* id);
  Env(Env&&) = default;
};

struct SessionOptions {
  SessionOptions();
  SessionOptions(SessionOptions&&) = default;
  SessionOptions& SetIntraOpNumThreads(int threads);
};

struct MemoryInfo {
  static MemoryInfo CreateCpu(OrtAllocatorType type, OrtMemType memory);
  MemoryInfo(MemoryInfo&&) = default;
  operator const OrtMemoryInfo*() const;
};

struct RunOptions {
  explicit RunOptions(std::nullptr_t);
  RunOptions();
};

struct Value {
  Value(Value&&) = default;
  template <typename T>
  static Value CreateTensor(const OrtMemoryInfo* info, T* data, size_t count, const int64_t* shape, size_t rank);
  template <typename T>
  const T* GetTensorData() const;
};

struct Session {
  Session(const Env& environment, const ORTCHAR_T* path, const SessionOptions& options);
  Session(Session&&) = default;
  std::vector<Value> Run(const RunOptions& options, const char* const* input_names, const Value* inputs,
                         size_t input_count, const char* const* output_names, size_t output_count);
};

}  // namespace Ort
