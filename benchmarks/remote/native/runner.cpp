// The remote runner in C++, for a phone: reads one request from a file and writes its response to another.
//
//     runner REQUEST RESPONSE [CORES]
//
// The messages are those of core/processes/envelope.py. CORES is a list of processors: 4,5,6.

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>

#include "arrays.h"
#include "json.h"
#include "model.h"

namespace {

constexpr int kWarmupCalls = 20, kMostLoops = 1024;
// Slow files get fewer warm-up calls and values, so that a job ends in time.
constexpr double kWarmupBudget_s = 5, kValuesBudget_s = 60;
constexpr int kFewestValues = 30;
// A value has to be this long, so that reading the clock does not count.
constexpr double kShortestValue_s = 50e-6;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Answer {
  std::string result;
  Arrays arrays;
};

// Starts the runtime that a job needs, which an app does once and which is not timed.
void prepare(const Job& job) {
  if (job.format == "onnx") {
    prepare_onnxruntime();
  } else if (!has_litert()) {
    has_tflite();
  }
}

std::unique_ptr<Model> open_model(const Job& job) {
  if (job.format == "onnx") return open_onnxruntime(job);
  if (has_litert()) return open_litert(job);
  if (has_tflite()) return open_tflite(job);
  throw target_error("neither libLiteRt.so, libtensorflowlite_jni.so nor libtensorflowlite_c.so can be loaded");
}

// Returns the samples of one call; the last one fills a batch that is not full.
Arrays samples(const Arrays& inputs, int64_t start, int64_t batch) {
  Arrays chosen;
  for (const auto& [name, array] : inputs) {
    const int64_t count = array.shape.empty() ? 0 : array.shape[0];
    if (count < 1) throw std::runtime_error("the input " + name + " has no samples");
    const size_t size = array.data.size() / static_cast<size_t>(count);
    Array part{array.dtype, array.shape, {}};
    part.shape[0] = batch;
    for (int64_t row = start; row < start + batch; ++row) {
      const auto first = array.data.begin() + static_cast<std::ptrdiff_t>(size) * std::min(row, count - 1);
      part.data.insert(part.data.end(), first, first + static_cast<std::ptrdiff_t>(size));
    }
    chosen[name] = std::move(part);
  }
  return chosen;
}

// A model reads as many bytes as its port says.
void check_inputs(const Model& model, const Arrays& given) {
  for (const Port& port : model.inputs) {
    const auto found = given.find(port.name);
    if (found == given.end()) throw artifact_fault("interface", "its input " + port.name + " is not in the manifest");
    if (found->second.dtype != port.dtype || found->second.shape != port.shape) {
      throw artifact_fault("interface", "its input " + port.name + " has another type or shape than in the manifest");
    }
  }
}

int64_t count_samples(const Arrays& inputs) {
  if (inputs.empty() || inputs.begin()->second.shape.empty()) throw std::runtime_error("there are no inputs");
  return inputs.begin()->second.shape[0];
}

Arrays run_samples(Model& model, const Arrays& inputs, int batch) {
  const int64_t count = count_samples(inputs);
  Arrays one_call = empty_arrays(model.outputs), collected = one_call;
  for (auto& [name, array] : collected) {
    array.data.clear();
    if (!array.shape.empty()) array.shape[0] = count;
  }
  for (int64_t start = 0; start < count; start += batch) {
    const Arrays feed = samples(inputs, start, batch);
    check_inputs(model, feed);
    model.run(feed, one_call);
    const int64_t wanted = std::min<int64_t>(batch, count - start);
    for (const auto& [name, array] : one_call) {
      const auto size = static_cast<std::ptrdiff_t>(array.data.size() / static_cast<size_t>(batch)) * wanted;
      auto& data = collected[name].data;
      data.insert(data.end(), array.data.begin(), array.data.begin() + size);
    }
  }
  return collected;
}

std::string ports_json(const std::vector<Port>& ports) {
  std::string found;
  for (const Port& port : ports) {
    found += (found.empty() ? "" : ",") + std::string("{\"name\":") + json::quoted(port.name) + ",\"dtype\":" +
             json::quoted(port.dtype) + ",\"shape\":[" + joined(port.shape) + "]}";
  }
  return "[" + found + "]";
}

std::string figures_json(const Model& model) {
  std::string found;
  for (const auto& [name, value] : model.figures) {
    found += (found.empty() ? "" : ",") + json::quoted(name) + ":" + json::number(value);
  }
  return "{" + found + "}";
}

Answer run(const json::Value& params, const Arrays& inputs) {
  const Job job(params);
  const auto model = open_model(job);
  Answer answer;
  answer.arrays = run_samples(*model, inputs, job.batch);
  answer.result = "{\"figures\":" + figures_json(*model) + ",\"inputs\":" + ports_json(model->inputs) +
                  ",\"outputs\":" + ports_json(model->outputs) + "}";
  return answer;
}

double value_s(Model& model, const Arrays& feed, Arrays& results, int loops) {
  const auto started = Clock::now();
  for (int call = 0; call < loops; ++call) model.run(feed, results);
  return seconds_since(started) / loops;
}

Answer time_calls(const json::Value& params, const Arrays& inputs) {
  const Job job(params);
  prepare(job);
  const auto started = Clock::now();
  const auto model = open_model(job);
  const double load_s = seconds_since(started);
  const Arrays feed = samples(inputs, 0, job.batch);
  check_inputs(*model, feed);
  Arrays results = empty_arrays(model->outputs);
  const double first_s = value_s(*model, feed, results, 1);
  const auto warming = Clock::now();
  for (int call = 0; call < kWarmupCalls && seconds_since(warming) < kWarmupBudget_s; ++call) model->run(feed, results);
  int loops = 1;
  while (loops < kMostLoops && value_s(*model, feed, results, loops) * loops < kShortestValue_s) loops *= 2;
  std::string values;
  const auto begun = Clock::now();
  for (int index = 0; index < job.timed_calls; ++index) {
    if (index >= kFewestValues && seconds_since(begun) >= kValuesBudget_s) break;
    values += (index ? "," : "") + json::number(value_s(*model, feed, results, loops));
  }
  Answer answer;
  answer.result = "{\"figures\":" + figures_json(*model) + ",\"latency\":{\"load_s\":" + json::number(load_s) +
                  ",\"first_s\":" + json::number(first_s) + ",\"loops\":" + std::to_string(loops) + ",\"values_s\":[" +
                  values + "]}}";
  return answer;
}

Answer facts() {
  std::map<std::string, std::string> known;
  utsname system{};
  if (uname(&system) == 0) known["machine"] = std::string(system.sysname) + " " + system.machine;
  if (has_litert()) known["litert"] = "2";
  if (!has_litert() && has_tflite()) known["tensorflow-lite"] = tflite_version();
  if (has_onnxruntime()) known["onnxruntime"] = onnxruntime_version();
  std::string found;
  for (const auto& [name, value] : known) {
    found += (found.empty() ? "" : ",") + json::quoted(name) + ":" + json::quoted(value);
  }
  Answer answer;
  answer.result = "{" + found + "}";
  return answer;
}

Answer respond(const json::Value& said, std::string_view block) {
  const std::string& method = said["method"].text;
  if (method == "facts") return facts();
  const Arrays inputs = unpack(block);
  try {
    if (method == "run") return run(said["params"], inputs);
    if (method == "time") return time_calls(said["params"], inputs);
  } catch (const Fault&) {
    throw;
  } catch (const std::exception& error) {
    throw artifact_fault("runs", error.what());
  }
  throw Fault("SpecError", "the method " + method + " is unknown");
}

std::string error_json(const std::string& type, const std::string& message, const std::string& check) {
  const std::string data = check.empty() ? "{}" : "{\"check\":" + json::quoted(check) + "}";
  return "\"error\":{\"type\":" + json::quoted(type) + ",\"message\":" + json::quoted(message) + ",\"data\":" + data +
         "}";
}

std::string response_to(const std::string& request) {
  std::string id = "0";
  try {
    const size_t end = request.find('\n');
    if (end == std::string::npos) throw std::runtime_error("the request has no end");
    const json::Value said = json::parse(std::string_view(request).substr(0, end));
    id = std::to_string(static_cast<int64_t>(said["id"].number));
    const Answer answer = respond(said, std::string_view(request).substr(end + 1));
    const std::string block = pack(answer.arrays);
    const std::string size = block.empty() ? "" : "\"block_bytes\":" + std::to_string(block.size()) + ",";
    return "{" + size + "\"id\":" + id + ",\"result\":" + answer.result + "}\n" + block;
  } catch (const Fault& fault) {
    return "{" + error_json(fault.type, fault.what(), fault.check) + ",\"id\":" + id + "}\n";
  } catch (const std::exception& error) {
    return "{" + error_json("InternalError", error.what(), "") + ",\"id\":" + id + "}\n";
  }
}

// Threads that a runtime starts later have the cores of this one.
bool pin(const std::string& cores) {
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  std::istringstream words(cores);
  for (std::string word; std::getline(words, word, ',');) CPU_SET(static_cast<size_t>(std::stoi(word)), &chosen);
  return sched_setaffinity(0, sizeof chosen, &chosen) == 0;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) {
    std::fprintf(stderr, "usage: runner REQUEST RESPONSE [CORES]\n");
    return 2;
  }
  const std::string cores = count > 3 ? words[3] : "";
  if (!cores.empty() && !pin(cores)) std::fprintf(stderr, "the cores %s cannot be had\n", cores.c_str());
  std::ifstream input(words[1], std::ios::binary);
  const std::string request{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
  const std::string response = response_to(request);
  std::ofstream output(words[2], std::ios::binary);
  output.write(response.data(), static_cast<std::streamsize>(response.size()));
  output.close();
  if (!output) {
    std::fprintf(stderr, "%s cannot be written: no space is left on the device\n", words[2]);
    return 3;
  }
  return 0;
}
