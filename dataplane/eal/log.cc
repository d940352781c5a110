#include "dataplane/eal/log.h"

#include <rte_log.h>

#include <cstdio>
#include <mutex>
#include <new>

#include <spdlog/spdlog.h>

namespace fairlead {
namespace {

constexpr size_t kMaxKept = 8192;  // bytes; the last lines explain a failure

struct State {
  std::mutex mutex;  // drivers may log from any thread
  std::string line;  // not complete yet
  std::string kept;
  bool pass_on = false;
  bool verbose = false;
};

State& TheState() {
  static State* const state = new State;  // never destroyed: EAL logs until the process ends
  return *state;
}

void TakeLine(State& state, int level) {
  if (level <= static_cast<int>(RTE_LOG_ERR)) {
    state.kept += state.line + "\n";
    if (state.kept.size() > kMaxKept) state.kept.erase(0, state.kept.size() - kMaxKept);
  }
  if (state.pass_on) {
    if (level <= static_cast<int>(RTE_LOG_ERR)) {
      spdlog::warn("dpdk: {}", state.line);
    } else if (state.verbose) {
      spdlog::info("dpdk: {}", state.line);
    }
  }
  state.line.clear();
}

// libc calls this, so no exception may leave it.
ssize_t Write(void* /*cookie*/, const char* data, size_t size) noexcept {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  const int level = rte_log_cur_msg_loglevel();
  try {
    for (size_t i = 0; i < size; ++i) {
      if (data[i] == '\n') {
        TakeLine(state, level);
      } else {
        state.line += data[i];
      }
    }
  } catch (const std::bad_alloc&) {
    state.line.clear();  // the line is lost
  }
  return static_cast<ssize_t>(size);
}

}  // namespace

bool CatchEalLog() {
  cookie_io_functions_t functions = {};
  functions.write = Write;
  FILE* stream = fopencookie(nullptr, "w", functions);
  if (stream == nullptr) return false;
  std::setvbuf(stream, nullptr, _IONBF, 0);
  return rte_openlog_stream(stream) == 0;
}

void PassEalLogOn(bool verbose) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  state.pass_on = true;
  state.verbose = verbose;
}

std::string TakeKeptEalLog() {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  std::string kept;
  kept.swap(state.kept);
  return kept;
}

}  // namespace fairlead
