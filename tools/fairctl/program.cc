#include "tools/fairctl/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/error_text.h"
#include "lib/host/unique_fd.h"

namespace fairlead::fairctl {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe() {
  int fds[2] = {-1, -1};
  if (pipe2(fds, O_CLOEXEC) != 0) return Unavailable("cannot create a pipe: " + ErrorText());
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Returns 0, or an error number.
int Spawn(const std::vector<std::string>& command, const Pipe& out, const Pipe& err, pid_t* pid) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  if (const int error = posix_spawn_file_actions_init(&actions); error != 0) return error;
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  const int error = posix_spawnp(pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Reads both pipes until the program and its children have closed them.
void ReadAll(const Pipe& out, const Pipe& err, ProgramResult* result) {
  std::array<pollfd, 2> fds = {pollfd{out.read.get(), POLLIN, 0},
                               pollfd{err.read.get(), POLLIN, 0}};
  const std::array<std::string*, 2> texts = {&result->out, &result->err};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char chunk[4096];
      const ssize_t count = read(fds[i].fd, chunk, sizeof(chunk));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        fds[i].fd = -1;  // poll ignores it from now on
      } else {
        texts[i]->append(chunk, static_cast<size_t>(count));
      }
    }
  }
}

}  // namespace

Result<ProgramResult> RunProgram(const std::vector<std::string>& command) {
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  pid_t pid = -1;
  if (const int error = Spawn(command, out, err, &pid); error != 0) {
    const std::string message = "cannot run " + command[0] + ": " + std::strerror(error);
    return error == ENOENT ? NotFound(message) : FailedPrecondition(message);
  }
  out.write = UniqueFd();
  err.write = UniqueFd();
  ProgramResult result;
  ReadAll(out, err, &result);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return Internal("cannot wait for " + command[0] + ": " + ErrorText());
  }
  result.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

bool MayActFor(uint64_t pid) {
  if (geteuid() == 0) return true;
  struct stat info = {};
  return stat(("/proc/" + std::to_string(pid)).c_str(), &info) == 0 && info.st_uid == geteuid();
}

}  // namespace fairlead::fairctl
