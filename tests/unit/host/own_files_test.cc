#include "lib/host/own_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class OwnFilesTest : public ::testing::Test {
 protected:
  OwnFilesTest() {
    char name[] = "/tmp/fairlead-own-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~OwnFilesTest() override {
    umask(old_mask_);
    fs::remove_all(folder_);
  }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  static void Write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static int ModeOf(const std::string& path) {
    struct stat info = {};
    return lstat(path.c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 07777) : -1;
  }

  std::string folder_;
  mode_t old_mask_ = umask(0);  // no result may depend on it
};

TEST_F(OwnFilesTest, OpensARegularFileOfThisUser) {
  Write(Path("file"), "text");
  EXPECT_TRUE(OpenOwnFile(Path("file"), O_RDONLY).ok());
  EXPECT_EQ(OpenOwnFile(Path("none"), O_RDONLY).status().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(CheckOwnFile(Path("file")).ok());
  EXPECT_TRUE(CheckOwnFile(Path("none")).ok());
}

// An open() that waits for the other end of the FIFO would wait forever.
TEST_F(OwnFilesTest, RefusesLinksFifosAndFolders) {
  Write(Path("file"), "text");
  fs::create_symlink(Path("file"), Path("link"));
  fs::create_symlink(Path("nowhere"), Path("dangling"));
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0666), 0);
  fs::create_directory(Path("folder"));
  for (const char* name : {"link", "dangling", "fifo", "folder"}) {
    SCOPED_TRACE(name);
    for (const Status& status :
         {OpenOwnFile(Path(name), O_RDONLY).status(), CheckOwnFile(Path(name)),
          OpenOrCreateOwnFile(Path(name), 0600).status()}) {
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(status.message(), HasSubstr(name));
    }
  }
  EXPECT_FALSE(fs::exists(Path("nowhere")));
}

TEST_F(OwnFilesTest, RefusesAFileOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can change the owner of a file";
  Write(Path("file"), "planted");
  if (chown(Path("file").c_str(), 65534, 65534) != 0) GTEST_SKIP() << "cannot change the owner";
  EXPECT_THAT(OpenOwnFile(Path("file"), O_RDONLY).status().message(),
              HasSubstr("belongs to user 65534"));
}

TEST_F(OwnFilesTest, ReplacesLinksAndFifosByNewFilesWithTheGivenMode) {
  Write(Path("precious"), "precious");
  fs::create_symlink(Path("precious"), Path("file"));
  EXPECT_TRUE(CreateOwnFile(Path("file"), 0640).ok());
  EXPECT_EQ(ModeOf(Path("file")), 0640);
  EXPECT_EQ(Read(Path("precious")), "precious");
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0666), 0);
  EXPECT_TRUE(CreateOwnFile(Path("fifo"), 0600).ok());
  EXPECT_EQ(ModeOf(Path("fifo")), 0600);
}

TEST_F(OwnFilesTest, ReplacesAFileInOneStepAndCleansUp) {
  Write(Path("file"), "old");
  Write(Path("file.new"), "planted");
  ASSERT_EQ(chmod(Path("file.new").c_str(), 0666), 0);
  EXPECT_TRUE(ReplaceOwnFile(Path("file"), "new", 0600).ok());
  EXPECT_EQ(Read(Path("file")), "new");
  EXPECT_EQ(ModeOf(Path("file")), 0600) << "the mode of the planted file must not remain";
  EXPECT_FALSE(fs::exists(Path("file.new")));

  const auto old = signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit none = {2, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);
  const Status full = ReplaceOwnFile(Path("file"), "another", 0600);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, old);
  EXPECT_THAT(full.message(), HasSubstr("cannot be written"));
  EXPECT_EQ(Read(Path("file")), "new") << "the old content must remain";
  EXPECT_FALSE(fs::exists(Path("file.new"))) << "no temporary file may remain";
}

TEST_F(OwnFilesTest, MakesFoldersWithTheGivenModeWhateverTheUmaskIs) {
  for (const mode_t mask : {mode_t{0}, mode_t{077}}) {
    umask(mask);
    const std::string name = "run" + std::to_string(mask);
    EXPECT_TRUE(MakeRuntimeFolder(Path(name + "/a/fairlead"), nullptr).ok());
    EXPECT_EQ(ModeOf(Path(name + "/a/fairlead")), 0750);
    EXPECT_EQ(ModeOf(Path(name + "/a")), 0755);
    EXPECT_TRUE(MakePrivateFolder(Path(name + "/private")).ok());
    EXPECT_EQ(ModeOf(Path(name + "/private")), 0700);
  }
  EXPECT_TRUE(MakePrivateFolder(Path("run0/private")).ok())
      << "an existing folder must be accepted";
}

TEST_F(OwnFilesTest, ARuntimeFolderBelongsToTheGroup) {
  // The group "daemon" exists on every system. Here it stands for "fairlead".
  if (geteuid() != 0) GTEST_SKIP() << "only root can change the group of a folder";
  ASSERT_TRUE(MakeRuntimeFolder(Path("fairlead"), "daemon").ok());
  EXPECT_EQ(ModeOf(Path("fairlead")), 0751);
  EXPECT_TRUE(MakeRuntimeFolder(Path("other"), "no-such-group").ok());
  EXPECT_EQ(ModeOf(Path("other")), 0750);
}

TEST_F(OwnFilesTest, RefusesALinkOrAFileAsAPrivateFolder) {
  fs::create_directory(Path("precious"));
  fs::create_directory_symlink(Path("precious"), Path("slots"));
  EXPECT_THAT(MakePrivateFolder(Path("slots")).message(), HasSubstr("is a symbolic link"));
  Write(Path("file"), "");
  EXPECT_THAT(MakePrivateFolder(Path("file")).message(), HasSubstr("is not a folder"));
}

}  // namespace
}  // namespace fairlead
