#include <cstdint>
#include <memory>
#include <ostream>

#include "tools/fairctl/commands.h"
#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

int ShowSeed(Context* context) {
  const Result<Json> reply = context->Call("GET", "/v1/seed");
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  context->out() << Shown(Member(*reply, "hash_seed")) << '\n';
  return kExitOk;
}

int SetSeed(Context* context, uint64_t seed) {
  const Result<Json> reply = context->Call("PUT", "/v1/seed", Json{{"hash_seed", seed}});
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  context->out() << "the hash seed is " << seed << InForceText(*reply) << '\n';
  PrintWarnings(context, *reply);
  return kExitOk;
}

}  // namespace

void AddSeedCommands(CLI::App* app, Context* context) {
  CLI::App* seed = app->add_subcommand("seed", "The group's hash seed: show, set");
  seed->require_subcommand(1);
  CLI::App* show = seed->add_subcommand(
      "show", "Show the seed; balancers with the same seed choose the same backends");
  show->callback([=] { context->action = [=] { return ShowSeed(context); }; });
  auto value = std::make_shared<uint64_t>(0);
  CLI::App* set = seed->add_subcommand("set", "Change the seed: nearly all flows change backends");
  set->add_option("seed", *value, "1 to 18446744073709551615")->required();
  set->callback([=] { context->action = [=] { return SetSeed(context, *value); }; });
}

}  // namespace fairlead::fairctl
