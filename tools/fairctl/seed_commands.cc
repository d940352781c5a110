#include <cstdint>
#include <limits>
#include <memory>
#include <ostream>

#include "tools/fairctl/commands.h"
#include "tools/fairctl/format.h"
#include "tools/fairctl/number_check.h"

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
  set->add_option("seed", *value, "the seed")
      ->required()
      ->transform(DecimalNumber(1, std::numeric_limits<uint64_t>::max()));
  set->callback([=] { context->action = [=] { return SetSeed(context, *value); }; });
}

}  // namespace fairlead::fairctl
