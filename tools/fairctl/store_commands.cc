#include <memory>
#include <ostream>

#include "lib/host/own_files.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/file.h"
#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

int BackUp(Context* context, const std::string& path) {
  if (const Status free = CheckReplaceable(path); !free.ok()) return context->Fail(free);
  Result<std::string> bytes = context->Fetch("/v1/store/backup");
  if (!bytes.ok()) return context->Fail(bytes.status());
  if (const Status written = ReplaceOwnFile(path, *bytes, 0600); !written.ok()) {
    // Not kUnavailable, which is for a fairleadd that does not answer.
    return context->Fail(FailedPrecondition(written.message()));
  }
  if (context->PrintJson(Json{{"path", path}, {"bytes", bytes->size()}})) return kExitOk;
  context->out() << path << ": " << FormatBytes(bytes->size()) << '\n';
  return kExitOk;
}

}  // namespace

void AddStoreCommands(CLI::App* app, Context* context) {
  CLI::App* store = app->add_subcommand("store", "fairleadd's store: backup");
  store->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  CLI::App* backup = store->add_subcommand(
      "backup",
      "Write a copy of the store, with all acknowledged changes; docs/operations.md says how to "
      "restore it");
  CLI::Option* file =
      backup->add_option("file", *path, "the file to write; an existing one is replaced");
  context->Offer(file->required(), ValueKind::kFiles);
  backup->callback([=] { context->action = [=] { return BackUp(context, *path); }; });
}

}  // namespace fairlead::fairctl
