// What a runtime prints on stderr while it loads a file: which operations a delegate takes, and which it does not.

#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

class CapturedStderr {
 public:
  CapturedStderr() : saved_(dup(2)), file_(std::tmpfile()) {
    if (file_ != nullptr) dup2(fileno(file_), 2);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;
  ~CapturedStderr() {
    if (saved_ >= 0) {
      dup2(saved_, 2);
      close(saved_);
    }
    if (file_ != nullptr) std::fclose(file_);
  }

  std::string text() {
    std::string found;
    if (file_ == nullptr) return found;
    std::rewind(file_);
    char part[4096];
    while (const size_t size = std::fread(part, 1, sizeof part, file_)) found.append(part, size);
    return found;
  }

  // Returns the last line that is not empty.
  std::string last_line(const std::string& otherwise) {
    std::string found = text();
    while (!found.empty() && (found.back() == '\n' || found.back() == ' ')) found.pop_back();
    found = found.substr(found.rfind('\n') + 1);
    return found.empty() ? otherwise : found;
  }

 private:
  int saved_;
  FILE* file_;
};
