// Arrays by name, and their block of bytes in the safetensors format; see core/processes/arrays.py.

#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"

// Elements are little-endian on the wire, as on every machine that Android runs on.
struct Array {
  std::string dtype;  // of numpy: float32
  std::vector<int64_t> shape;
  std::vector<uint8_t> data;
};

using Arrays = std::map<std::string, Array>;

struct ElementType {
  const char* wire;
  const char* name;
  size_t size_bytes;
  int litert;  // LiteRtElementType and TfLiteType, which have the same numbers
  int onnx;    // ONNXTensorElementDataType
};

inline constexpr ElementType kElementTypes[] = {
    {"F32", "float32", 4, 1, 1}, {"F16", "float16", 2, 10, 10}, {"I8", "int8", 1, 9, 3},   {"U8", "uint8", 1, 3, 2},
    {"I16", "int16", 2, 7, 5},   {"I32", "int32", 4, 2, 6},     {"I64", "int64", 8, 4, 7},
};

// Returns the first type that passes a test; `shown` names it in an error.
template <typename Test>
const ElementType& element_type(Test test, const std::string& shown) {
  for (const ElementType& each : kElementTypes) {
    if (test(each)) return each;
  }
  throw std::runtime_error("the element type " + shown + " is unknown");
}

inline const ElementType& litert_type(int number) {
  return element_type([&](const ElementType& each) { return number == each.litert; }, std::to_string(number));
}

inline const ElementType& onnx_type(int number) {
  return element_type([&](const ElementType& each) { return number == each.onnx; }, std::to_string(number));
}

inline const ElementType& type_named(const std::string& name) {
  return element_type([&](const ElementType& each) { return name == each.name; }, name);
}

inline int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

inline std::string joined(const std::vector<int64_t>& shape) {
  std::string found;
  for (const int64_t size : shape) found += (found.empty() ? "" : ",") + std::to_string(size);
  return found;
}

inline Arrays unpack(std::string_view block) {
  Arrays arrays;
  if (block.empty()) return arrays;
  uint64_t length = 0;
  if (block.size() < sizeof length) throw std::runtime_error("the block of arrays is damaged");
  std::memcpy(&length, block.data(), sizeof length);
  if (length > block.size() - sizeof length) throw std::runtime_error("the block of arrays is damaged");
  const std::string_view data = block.substr(sizeof length + length);
  for (const auto& [name, about] : json::parse(block.substr(sizeof length, length)).members) {
    if (name == "__metadata__") continue;
    const std::string wire = about["dtype"].text;
    Array array;
    array.dtype = element_type([&](const ElementType& each) { return wire == each.wire; }, wire).name;
    for (const json::Value& size : about["shape"].items) array.shape.push_back(static_cast<int64_t>(size.number));
    const auto& ends = about["data_offsets"].items;
    const auto first = ends.size() == 2 ? static_cast<size_t>(ends[0].number) : 1;
    const auto last = ends.size() == 2 ? static_cast<size_t>(ends[1].number) : 0;
    const size_t wanted = static_cast<size_t>(count_of(array.shape)) * type_named(array.dtype).size_bytes;
    if (first > last || last > data.size() || last - first != wanted) {
      throw std::runtime_error("the block of arrays is damaged");
    }
    const std::string_view own = data.substr(first, last - first);
    array.data.assign(own.begin(), own.end());
    arrays[name] = std::move(array);
  }
  return arrays;
}

inline std::string pack(const Arrays& arrays) {
  if (arrays.empty()) return "";
  std::string header = "{", data;
  for (const auto& [name, array] : arrays) {
    if (header.size() > 1) header += ",";
    header += json::quoted(name) + ":{\"dtype\":\"" + type_named(array.dtype).wire + "\",\"shape\":[";
    header += joined(array.shape) + "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data.append(reinterpret_cast<const char*>(array.data.data()), array.data.size());
    header += std::to_string(data.size()) + "]}";
  }
  header += "}";
  // The format aligns what follows the header.
  header.append((8 - header.size() % 8) % 8, ' ');
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}
