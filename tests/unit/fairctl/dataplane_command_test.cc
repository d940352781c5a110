#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fairctl/harness.h"

namespace fairlead::fairctl {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::Harness;
using ::testing::HasSubstr;

const std::vector<std::string> kRestartDataplane = {"dataplane", "restart"};

std::string Unit(const std::string& arguments, const std::string& more = "") {
  return "LoadState=loaded\nActiveState=active\nMainPID=41\n"
         "ExecStart={ path=/usr/sbin/fairlead-dataplane ; argv[]=/usr/sbin/fairlead-dataplane " +
         arguments +
         " ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=41 ; code=(null) ; "
         "status=0/0 }\n" +
         more;
}

std::string CheckReply(const char* outcome, const char* text) {
  return std::string(R"({"release":"0.3.0","complete":true,"parts":[
    {"name":"configuration","outcome":"taken_over","text":"2 ports, 4 workers","count":0},
    {"name":"flow_records","outcome":")") +
         outcome + R"(","text":")" + text + R"(","count":17}]})";
}

std::string StatusReply(int pid, const char* started_at, int in_force = 9) {
  return R"({"generation":9,"dataplane":{"connected":true,"generation":)" +
         std::to_string(in_force) + R"(,"pid":)" + std::to_string(pid) +
         R"(,"release":"0.2.0","started_at":")" + started_at +
         R"(","records_taken_over":17,"error":""}})";
}

constexpr const char* kBefore = "1970-01-01T00:00:01.000Z";
constexpr const char* kAfter = "1970-01-01T00:16:40.412Z";  // 412 ms after the test's clock
constexpr const char* kNoFlows = R"({"flows":{"records":0}})";
constexpr const char* kNotConnected =
    R"({"generation":9,"dataplane":{"connected":false,"generation":0,"pid":0,"error":"gone"}})";

// Everything is taken over, and the dataplane runs.
void AnswerUntilRestart(Harness* fairctl) {
  fairctl->Program(0, Unit("--config /etc/fairlead/dataplane.yaml -- -l 0-1"));
  fairctl->Program(0, CheckReply("taken_over", "17 records"));
  fairctl->Answer(200, StatusReply(41, kBefore)).Answer(200, kNoFlows);
}

TEST(DataplaneRestart, ChecksRestartsAndWaitsForTheNewProcess) {
  Harness fairctl;
  AnswerUntilRestart(&fairctl);
  fairctl.Program(0);
  fairctl.Answer(200, StatusReply(41, kBefore)).Answer(200, kNotConnected).FailToConnect();
  fairctl.Answer(200, StatusReply(77, kAfter, 8));
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitOk) << fairctl.err();
  EXPECT_THAT(fairctl.commands(),
              ElementsAre(HasSubstr("systemctl show --property "),
                          "/usr/sbin/fairlead-dataplane --check --json --config "
                          "/etc/fairlead/dataplane.yaml -- -l 0-1",
                          "systemctl restart -- fairlead-dataplane.service"));
  EXPECT_EQ(fairctl.out(),
            "installed      /usr/sbin/fairlead-dataplane, release 0.3.0 (0.2.0 is running)\n"
            "configuration  taken over: 2 ports, 4 workers\n"
            "flow records   taken over: 17 records\n"
            "restarted      forwarding stopped for at most 412 ms, 17 flow records taken over, pid "
            "77, generation 8\n");
  EXPECT_EQ(fairctl.unused_answers(), 0U);
}

// A process of the same pid, as in a container.
TEST(DataplaneRestart, KnowsTheNewProcessByItsStart) {
  Harness fairctl;
  AnswerUntilRestart(&fairctl);
  fairctl.Program(0).Answer(200, StatusReply(41, kBefore)).Answer(200, StatusReply(41, kAfter));
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitOk);
  EXPECT_EQ(fairctl.unused_answers(), 0U);
}

TEST(DataplaneRestart, WithWaitReturnsWhenTheNewestGenerationIsInForce) {
  Harness fairctl;
  AnswerUntilRestart(&fairctl);
  fairctl.Program(0).Answer(200, StatusReply(77, kAfter, 8)).Answer(200, StatusReply(77, kAfter));
  EXPECT_EQ(fairctl.Run({"dataplane", "restart", "--wait"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("generation 9\n"));
  EXPECT_EQ(fairctl.unused_answers(), 0U);
}

TEST(DataplaneRestart, RefusesIfSomethingWouldBeLost) {
  Harness fairctl;
  fairctl.Program(0, Unit("--config x"));
  fairctl.Program(1, CheckReply("lost", "17 records: flow_table.records is 1"));
  fairctl.Answer(200, StatusReply(41, kBefore)).Answer(200, kNoFlows);
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitFailed);
  EXPECT_EQ(fairctl.commands().size(), 2U);
  EXPECT_THAT(fairctl.out(),
              HasSubstr("flow records   lost: 17 records: flow_table.records is 1\n"));
  EXPECT_EQ(fairctl.err(),
            "fairctl: a restart would lose: flow records; established connections may break. "
            "Nothing was changed; --force restarts all the same\n");
}

TEST(DataplaneRestart, WithForceRestartsAllTheSame) {
  Harness fairctl;
  fairctl.Program(0, Unit("--config x"));
  fairctl.Program(1, CheckReply("lost", "17 records"));
  fairctl.Answer(200, StatusReply(41, kBefore)).Answer(200, kNoFlows);
  fairctl.Program(0).Answer(200, StatusReply(77, kAfter));
  EXPECT_EQ(fairctl.Run({"dataplane", "restart", "--force"}), kExitOk);
  EXPECT_EQ(fairctl.commands().size(), 3U);
}

TEST(DataplaneRestart, RefusesIfTheRecordsAreInPrivateMemory) {
  Harness fairctl;
  fairctl.Program(0, Unit("--config x")).Program(0, CheckReply("nothing", "no table is kept"));
  fairctl.Answer(200, StatusReply(41, kBefore)).Answer(200, R"({"flows":{"records":3214}})");
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitFailed);
  EXPECT_THAT(fairctl.out(), HasSubstr("flow records   lost: 3214 records, which the dataplane "
                                       "that runs has in private memory"));
}

TEST(DataplaneRestart, NeverRestartsIntoAProgramThatWouldNotStart) {
  struct Row {
    const char* name;
    int status;
    const char* out;
    const char* err;
    const char* why;
  };
  for (const Row& row :
       {Row{"configuration", 78, R"({"release":"0.3.0","error":"x.yaml: ports: must be a list"})",
            "", "x.yaml: ports: must be a list"},
        Row{"command line", 78, "", "fairlead-dataplane: --old: no such option\n",
            "--old: no such"},
        Row{"an older release", 1, "", "fairlead-dataplane: --check is unknown\nmore\n",
            "--check is unknown."},
        Row{"killed", 137, "", "", "status 137"}, Row{"nonsense", 0, "[1]", "", "status 0"}}) {
    SCOPED_TRACE(row.name);
    Harness fairctl;
    fairctl.Program(0, Unit("--config x")).Program(row.status, row.out, row.err);
    EXPECT_EQ(fairctl.Run({"dataplane", "restart", "--force"}), kExitFailed);
    EXPECT_EQ(fairctl.commands().size(), 2U);
    EXPECT_THAT(fairctl.err(), AllOf(HasSubstr("/usr/sbin/fairlead-dataplane would not start"),
                                     HasSubstr(row.why), HasSubstr("Nothing was changed")));
  }
}

TEST(DataplaneRestart, DryRunOnlyChecks) {
  Harness complete;
  AnswerUntilRestart(&complete);
  EXPECT_EQ(complete.Run({"dataplane", "restart", "--dry-run"}), kExitOk);
  EXPECT_EQ(complete.commands().size(), 2U);
  Harness loses;
  loses.Program(0, Unit("--config x")).Program(1, CheckReply("lost", "17 records"));
  loses.Answer(200, kNotConnected);
  EXPECT_EQ(loses.Run({"dataplane", "restart", "--dry-run"}), kExitFailed);
  EXPECT_EQ(loses.commands().size(), 2U);
  EXPECT_EQ(loses.err(), "");
}

TEST(DataplaneRestart, PrintsOneJsonObject) {
  Harness fairctl;
  AnswerUntilRestart(&fairctl);
  fairctl.Program(0).Answer(200, StatusReply(77, kAfter));
  EXPECT_EQ(fairctl.Run({"--json", "dataplane", "restart"}), kExitOk);
  const Json reply = Json::parse(fairctl.out());
  EXPECT_EQ(reply["restarted"], true);
  EXPECT_EQ(reply["gap_ms"], 412);
  EXPECT_EQ(reply["records_taken_over"], 17);
  EXPECT_EQ(reply["check"]["parts"][1]["outcome"], "taken_over");
}

TEST(DataplaneRestart, SaysWhatToDoWithoutSystemd) {
  Harness without;
  without.NoProgram();
  EXPECT_EQ(without.Run(kRestartDataplane), kExitFailed);
  EXPECT_THAT(without.err(), HasSubstr("without systemd, run the new fairlead-dataplane"));
  Harness not_booted;
  not_booted.Program(1, "", "System has not been booted with systemd as init system\n");
  EXPECT_EQ(not_booted.Run(kRestartDataplane), kExitFailed);
  EXPECT_THAT(not_booted.err(), HasSubstr("not been booted with systemd"));
  Harness no_unit;
  no_unit.Program(0, "LoadState=not-found\nActiveState=inactive\nMainPID=0\n");
  EXPECT_EQ(no_unit.Run({"dataplane", "restart", "--unit", "mine.service"}), kExitFailed);
  EXPECT_THAT(no_unit.commands()[0], HasSubstr("-- mine.service"));
  EXPECT_THAT(no_unit.err(), HasSubstr("unit mine.service is not-found; name another one"));
}

TEST(DataplaneRestart, TellsWhySystemctlFailed) {
  Harness fairctl;
  AnswerUntilRestart(&fairctl);
  fairctl.Program(1, "", "Access denied\nSee system logs\n");
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitFailed);
  EXPECT_THAT(fairctl.err(), HasSubstr("systemctl restart fairlead-dataplane.service: Access "
                                       "denied; whether the dataplane runs is not known; see "
                                       "`journalctl -u"));
}

// The check does not see wrong options of the EAL, nor rights that the unit lacks.
TEST(DataplaneRestart, SaysThatForwardingHasStoppedIfTheNewProcessFails) {
  const std::string gone =
      "LoadState=loaded\nActiveState=activating\nMainPID=0\n"
      "ExecStart={ path=/x ; argv[]=/x ; ignore_errors=no ; }\n";
  for (const auto& [unit, what] :
       {std::pair(gone,
                  "the dataplane is not running, and forwarding has stopped; see `journalctl "
                  "-u fairlead-dataplane.service`"),
        std::pair(Unit("--config x"), "the dataplane was not restarted and still runs; see")}) {
    Harness fairctl;
    AnswerUntilRestart(&fairctl);
    fairctl.Program(1, "", "Job failed.\n").Program(0, unit);
    EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitFailed);
    EXPECT_THAT(fairctl.err(), HasSubstr(what));
  }
}

TEST(DataplaneRestart, TheCheckNeedsRootIfItMayNotReadTheFiles) {
  Harness fairctl;
  fairctl.AsOtherUser().Program(0, Unit("--config x"));
  fairctl.Program(1, CheckReply("lost", "the table: Permission denied"));
  EXPECT_EQ(fairctl.Run({"dataplane", "restart", "--dry-run"}), kExitFailed);
  EXPECT_THAT(fairctl.err(), HasSubstr("the check needs root"));
  EXPECT_EQ(fairctl.out(), "");
}

TEST(DataplaneRestart, RestartsWithoutFairleaddAndSaysThatItDoesNotKnowMore) {
  Harness fairctl;
  fairctl.Program(0, Unit("--config x")).Program(0, CheckReply("taken_over", "17 records"));
  fairctl.FailToConnect().Program(0);
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitUnreachable);
  EXPECT_EQ(fairctl.commands().size(), 3U);
  EXPECT_THAT(fairctl.err(), HasSubstr("was restarted, but whether it forwards is not known: "
                                       "fairleadd does not answer"));
}

TEST(DataplaneRestart, EndsTheWaitAfterThirtySeconds) {
  Harness fairctl;
  AnswerUntilRestart(&fairctl);
  fairctl.Program(0);
  for (int i = 0; i < 2000; ++i) fairctl.Answer(200, kNotConnected);
  EXPECT_EQ(fairctl.Run(kRestartDataplane), kExitWaitTimeout);
  EXPECT_EQ(fairctl.sleeps(), 1501);
  EXPECT_THAT(fairctl.err(), HasSubstr("after 30 s fairleadd is not connected to it: gone; see"));
}

TEST(DataplaneRestart, ReplacesTheVariablesOfTheUnit) {
  const std::string file =
      ::testing::TempDir() + "/fairctl-environment-" + std::to_string(static_cast<long>(getpid()));
  std::ofstream(file) << "# OPTIONS=no\n\nOPTIONS=\"--workers 4 -- -l 0-4\"\nFROM_FILE = 'two'\n";
  Harness fairctl;
  fairctl.Program(0, Unit("--config ${DIR}/x.yaml $MISSING --link $$${FROM_FILE} $OPTIONS",
                          "EnvironmentFiles=" + file +
                              " (ignore_errors=yes)\n"
                              "EnvironmentFiles=/nonexistent (ignore_errors=yes)\n"
                              "Environment=\"DIR=/etc/my fairlead\" FROM_FILE=one\n"));
  fairctl.Program(0, CheckReply("taken_over", "17 records")).FailToConnect();
  EXPECT_EQ(fairctl.Run({"dataplane", "restart", "--dry-run"}), kExitOk);
  EXPECT_EQ(fairctl.commands().at(1),
            "/usr/sbin/fairlead-dataplane --check --json --config /etc/my fairlead/x.yaml --link "
            "$two --workers 4 -- -l 0-4");
  std::filesystem::remove(file);
}

TEST(DataplaneRestart, SplitsTheValueOfAVariableAsSystemdDoes) {
  const std::string file =
      ::testing::TempDir() + "/fairctl-quotes-" + std::to_string(static_cast<long>(getpid()));
  std::ofstream(file) << R"(SINGLE='--snapshot "/var/my state/x" --a\b'
DOUBLE="--link '/run/my link' --say \"hi there\" c\\\\d ''"
BARE=--e\ f
)";
  Harness fairctl;
  fairctl.Program(0, Unit("$SINGLE $DOUBLE $BARE $SHOWN ${SHOWN}",
                          "EnvironmentFiles=" + file + " (ignore_errors=no)\n" +
                              R"(Environment="SHOWN=-- \"g h\"" OTHER=1)" + "\n"));
  fairctl.Program(0, CheckReply("taken_over", "17 records")).FailToConnect();
  EXPECT_EQ(fairctl.Run({"dataplane", "restart", "--dry-run"}), kExitOk) << fairctl.err();
  EXPECT_THAT(fairctl.argv().at(1),
              ElementsAre("/usr/sbin/fairlead-dataplane", "--check", "--json", "--snapshot",
                          "/var/my state/x", "--ab", "--link", "/run/my link", "--say", "hi there",
                          "c\\d", "", "--e", "f", "--", "g h", R"(-- "g h")"));
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace fairlead::fairctl
