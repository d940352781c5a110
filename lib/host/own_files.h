// Files and folders that a daemon keeps for itself. Nothing planted in their place is taken for one:
// no link is followed, nothing is waited for (a FIFO has no reader), and only regular files of this
// process's own user are read or written. What is made has its mode whatever the umask is.
//
// Any thread.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

// `flags`: O_RDONLY or O_RDWR. kNotFound when nothing is there, kFailedPrecondition when it is none of
// ours, kUnavailable for the rest. Messages begin with the path.
Result<UniqueFd> OpenOwnFile(const std::string& path, int flags);

// An empty file of that mode for writing. Whatever had the name is removed before; a folder stays, and
// is a failure.
Result<UniqueFd> CreateOwnFile(const std::string& path, mode_t mode);

// OpenOwnFile, or a new one of that mode where nothing is there.
Result<UniqueFd> OpenOrCreateOwnFile(const std::string& path, mode_t mode);

// `content`, in one step: readers find the old file or the new one. A failure leaves no `path`.new.
Status ReplaceOwnFile(const std::string& path, std::string_view content, mode_t mode);

// Nothing is there, or what OpenOwnFile would open. For files that a library opens.
Status CheckOwnFile(const std::string& path);

// The folder for files of a daemon. Where it is not there it is made, with its parents: mode
// 0751 and group `group` where the system has that group and this is root, else 0750. One that is there
// must be a folder and stays as it is.
Status MakeRuntimeFolder(const std::string& path, const char* group = "fairlead");

// A folder of this user's alone, mode 0700. A link or a foreign folder is a failure.
Status MakePrivateFolder(const std::string& path);

}  // namespace fairlead
