#include "controlplane/http/socket.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

class SocketTest : public testing::Test {
 protected:
  bool Connects() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
           0;
  }

  TempDir directory_;
  std::string path_ = directory_.File("deep/er/control.sock");
};

TEST_F(SocketTest, MakesDirectoriesAndASocketOfMode0660) {
  const Result<ListeningSocket> socket = ListenUnix(path_);
  ASSERT_TRUE(socket.ok()) << socket.status().message();
  struct stat info {};
  ASSERT_EQ(::lstat(path_.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 07777, 0660U);
  EXPECT_TRUE(Connects());
}

TEST_F(SocketTest, ReplacesAStaleSocket) {
  { const Result<ListeningSocket> dead = ListenUnix(path_); }
  ASSERT_FALSE(Connects());
  const Result<ListeningSocket> socket = ListenUnix(path_);
  ASSERT_TRUE(socket.ok()) << socket.status().message();
  EXPECT_TRUE(Connects());
}

TEST_F(SocketTest, RefusesASocketInUseAndDoesNotChangeIt) {
  const Result<ListeningSocket> first = ListenUnix(path_);
  ASSERT_TRUE(first.ok());
  const Result<ListeningSocket> second = ListenUnix(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr("another fairleadd already listens"));
  EXPECT_TRUE(Connects());
}

TEST_F(SocketTest, NeverFollowsASymbolicLink) {
  const std::string target = directory_.File("target.sock");
  const Result<ListeningSocket> stale = ListenUnix(target);
  ASSERT_TRUE(stale.ok());
  std::filesystem::create_directories(directory_.File("deep/er"));
  for (const std::string& to : {target, directory_.File("missing")}) {
    std::filesystem::create_symlink(to, path_);
    const Result<ListeningSocket> socket = ListenUnix(path_);
    EXPECT_EQ(socket.status().code(), ErrorCode::kFailedPrecondition) << to;
    EXPECT_TRUE(std::filesystem::is_symlink(path_)) << "the link must not be removed";
    std::filesystem::remove(path_);
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.File("missing")));
}

TEST_F(SocketTest, RefusesAFileThatIsNoSocket) {
  std::filesystem::create_directories(directory_.File("deep/er"));
  std::ofstream(path_) << "precious";
  EXPECT_EQ(ListenUnix(path_).status().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(SocketTest, RefusesAPathThatIsTooLong) {
  EXPECT_EQ(ListenUnix(directory_.File(std::string(120, 'x'))).status().code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(SocketTest, RemovesOnlyTheSocketThatItCreated) {
  const Result<ListeningSocket> first = ListenUnix(path_);
  ASSERT_TRUE(first.ok());
  std::filesystem::rename(path_, path_ + ".moved");
  const Result<ListeningSocket> second = ListenUnix(path_);
  ASSERT_TRUE(second.ok());
  RemoveSocket(*first);
  EXPECT_TRUE(Connects());
  RemoveSocket(*second);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace fairlead
