// The commands that work on files, without fairleadd.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/fairctl/harness.h"
#include "tools/fairctl/file.h"

namespace fairlead::fairctl {
namespace {

using testing::Harness;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SnapshotCommands : public ::testing::Test {
 protected:
  SnapshotCommands() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fairctl-test-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    Write("services.yaml", R"(hash_seed: 42
services:
  - name: web
    frontends: [203.0.113.10:80/tcp]
    backends:
      - {address: 10.0.0.11, weight: 2, mac: 02:00:00:00:00:0b}
      - 10.0.0.12
)");
  }
  ~SnapshotCommands() override { std::filesystem::remove_all(folder_); }

  std::string Path(const char* name) const { return folder_ + "/" + name; }
  void Write(const char* name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  std::string Read(const char* name) const { return ReadFile(Path(name), 1 << 20).value(); }
  int Build(Harness* fairctl, const char* image) const {
    return fairctl->Run({"snapshot", "build", Path("services.yaml"), "-o", Path(image)});
  }

 private:
  std::string folder_;
};

TEST_F(SnapshotCommands, BuildWritesAnImageThatShowPrints) {
  Harness build;
  ASSERT_EQ(Build(&build, "image"), kExitOk) << build.err();
  EXPECT_EQ(build.out(), Path("image") + ": generation 1, 1 service(s), 2 backend(s), 336 bytes\n");
  Harness show;
  EXPECT_EQ(show.Run({"snapshot", "show", Path("image")}), kExitOk);
  EXPECT_EQ(show.out(),
            "generation  1\n"
            "hash seed   42\n"
            "size        336 bytes, format version 3\n"
            "\n"
            "service web: 203.0.113.10:80/tcp\n"
            "  dsr, hash 5-tuple, tracking tcp adaptive, udp all, 65537 slots\n"
            "  BACKEND    WEIGHT  STATE   NEXT HOP\n"
            "  10.0.0.11       2  active  02:00:00:00:00:0b\n"
            "  10.0.0.12       1  active  unknown\n");
  EXPECT_THAT(show.requests(), IsEmpty());
}

TEST_F(SnapshotCommands, ShowAsJsonHasEveryService) {
  Harness fairctl;
  Build(&fairctl, "image");
  Harness show;
  EXPECT_EQ(show.Run({"--json", "snapshot", "show", Path("image")}), kExitOk);
  const Json json = Json::parse(show.out());
  EXPECT_EQ(json["services"][0]["frontends"][0], "203.0.113.10:80/tcp");
  EXPECT_EQ(json["services"][0]["backends"][0]["next_hop"]["mac"], "02:00:00:00:00:0b");
  EXPECT_EQ(json["services"][0]["backends"][1]["next_hop"], nullptr);
}

TEST_F(SnapshotCommands, BuildGivesTheSameBytesEachTime) {
  Harness fairctl;
  Build(&fairctl, "one");
  Build(&fairctl, "two");
  EXPECT_EQ(Read("one"), Read("two"));
}

TEST_F(SnapshotCommands, BuildNamesFileFieldAndValue) {
  Write("services.yaml", "services: [{name: web, frontends: [203.0.113.10:80/tcp], hash: 6}]");
  Harness fairctl;
  EXPECT_EQ(Build(&fairctl, "image"), kExitFailed);
  EXPECT_EQ(fairctl.err(), "fairctl: " + Path("services.yaml") +
                               ": services[0].hash: 6 is not one of 5-tuple | 3-tuple | "
                               "source-ip\n");
  EXPECT_FALSE(std::filesystem::exists(Path("image")));
}

TEST_F(SnapshotCommands, ARefusedFileLeavesTheOldImageAsItWas) {
  Harness fairctl;
  Build(&fairctl, "image");
  const std::string before = Read("image");
  Write("services.yaml", "services: [");
  EXPECT_EQ(Build(&fairctl, "image"), kExitFailed);
  EXPECT_EQ(Read("image"), before);
}

TEST_F(SnapshotCommands, ShowRefusesADamagedImage) {
  Harness fairctl;
  Build(&fairctl, "image");
  std::string bytes = Read("image");
  bytes[200] ^= 1;
  Write("image", bytes);
  EXPECT_EQ(fairctl.Run({"snapshot", "show", Path("image")}), kExitFailed);
  EXPECT_THAT(fairctl.err(), HasSubstr("snapshot: digest: the content is damaged"));
}

TEST_F(SnapshotCommands, ExplainWithAnImageSendsNoRequest) {
  Harness build;
  Build(&build, "image");
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"explain", "tcp", "198.51.100.7:40000", "203.0.113.10:80", "--snapshot",
                         Path("image")}),
            kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("service   web\n"));
  EXPECT_THAT(fairctl.out(), HasSubstr("backend   10.0.0.1"));
  EXPECT_THAT(fairctl.requests(), IsEmpty());
}

TEST_F(SnapshotCommands, MissingFilesAreNamed) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"snapshot", "show", Path("nothing")}), kExitNotFound);
  EXPECT_EQ(fairctl.err(), "fairctl: " + Path("nothing") + ": No such file or directory\n");
}

// The new file is written beside the old one first.
TEST_F(SnapshotCommands, WritingFollowsNoLinkBesideTheFile) {
  Write("precious", "as it was");
  std::filesystem::create_symlink(Path("precious"), Path("image.new"));
  Harness fairctl;
  EXPECT_EQ(Build(&fairctl, "image"), kExitOk);
  EXPECT_EQ(Read("precious"), "as it was");
  EXPECT_FALSE(std::filesystem::is_symlink(Path("image")));
}

TEST_F(SnapshotCommands, ReadFileStopsAtItsLimit) {
  Write("long", std::string(101, 'x'));
  EXPECT_EQ(ReadFile(Path("long"), 101)->size(), 101U);
  EXPECT_EQ(ReadFile(Path("long"), 100).status().code(), ErrorCode::kResourceExhausted);
}

// rename() would put a regular file in the place of /dev/null, or of the link /dev/stdout.
TEST_F(SnapshotCommands, ReplaceOnlyRegularFiles) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink(Path("services.yaml"), Path("link"));
  std::filesystem::create_directory(Path("folder"));
  for (const auto& [name, what] :
       {std::pair("fifo", "is not a regular file"), std::pair("link", "is a symbolic link"),
        std::pair("folder", "is a folder")}) {
    const auto type = std::filesystem::symlink_status(Path(name)).type();
    Harness backup;
    EXPECT_EQ(backup.Answer(200, "bytes").Run({"store", "backup", Path(name)}), kExitFailed);
    EXPECT_THAT(backup.err(), HasSubstr(Path(name) + " " + what + ", so it is left unchanged"));
    EXPECT_THAT(backup.requests(), IsEmpty());
    Harness build;
    EXPECT_EQ(Build(&build, name), kExitFailed);
    EXPECT_THAT(build.err(), HasSubstr(what));
    EXPECT_EQ(std::filesystem::symlink_status(Path(name)).type(), type) << name;
  }
}

TEST_F(SnapshotCommands, BackupWritesTheStoreAndFailsWithOne) {
  Write("store.db", "an older backup");
  Harness backup;
  EXPECT_EQ(backup.Answer(200, "bytes").Run({"store", "backup", Path("store.db")}), kExitOk);
  EXPECT_EQ(Read("store.db"), "bytes");
  Harness missing;
  EXPECT_EQ(missing.Answer(200, "bytes").Run({"store", "backup", Path("no/x")}), kExitFailed);
  EXPECT_THAT(missing.err(), HasSubstr(Path("no/x")));
}

}  // namespace
}  // namespace fairlead::fairctl
