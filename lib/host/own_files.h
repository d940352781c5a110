// Files and folders that belong to one daemon. A file that somebody planted in their place is not
// used: no symbolic link is followed, no open blocks (a FIFO may have no reader), and only regular
// files of this process's user are read or written. New files get their mode whatever the umask is.
//
// Any thread.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

// Opens a file. `flags`: O_RDONLY or O_RDWR. Errors: kNotFound if it does not exist,
// kFailedPrecondition if it is not a regular file of this user, else kUnavailable. Messages begin
// with the path.
Result<UniqueFd> OpenOwnFile(const std::string& path, int flags);

// Creates an empty file of that mode, opened for reading and writing. An existing file of that name
// is removed first. An existing folder is a failure and stays.
Result<UniqueFd> CreateOwnFile(const std::string& path, mode_t mode);

// As OpenOwnFile with O_RDWR; if the file does not exist, as CreateOwnFile.
Result<UniqueFd> OpenOrCreateOwnFile(const std::string& path, mode_t mode);

// Replaces the file by one with `content`, in one step: readers see the old file or the new one. A
// failure leaves no `path`.new.
Status ReplaceOwnFile(const std::string& path, std::string_view content, mode_t mode);

// OK if the file does not exist, or if OpenOwnFile would open it. For files that a library opens.
Status CheckOwnFile(const std::string& path);

// Creates the folder for a daemon's files and its parents, unless it exists. If the process is root
// and the system has the group `group`, the folder gets mode 0751 and that group, else mode 0750.
// New parents get mode 0755. An existing folder stays as it is.
Status MakeRuntimeFolder(const std::string& path, const char* group = "fairlead");

// Creates a folder that only this user can use, mode 0700, unless it exists. A symbolic link or a
// folder of another user is a failure.
Status MakePrivateFolder(const std::string& path);

}  // namespace fairlead
