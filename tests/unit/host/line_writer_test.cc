#include "lib/host/line_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

namespace fairlead {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ReportLost(uint64_t lost) { return std::to_string(lost) + " are lost\n"; }

// A socket or a pipe. The writer's end is in blocking mode. ReadAll reads from the other end.
class Channel {
 public:
  explicit Channel(bool is_socket) {
    EXPECT_EQ(is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) : pipe(ends_), 0);
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  ~Channel() {
    close(ends_[0]);
    close(ends_[1]);
  }
  int writer() const { return ends_[1]; }
  std::string ReadAll() {
    std::string all;
    char buffer[4096];
    for (ssize_t count; (count = read(ends_[0], buffer, sizeof(buffer))) > 0;) {
      all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }

 private:
  int ends_[2] = {-1, -1};
};

class LineWriterTest : public ::testing::TestWithParam<bool> {};

TEST_P(LineWriterTest, WritesLinesUnchanged) {
  Channel channel(GetParam());
  LineWriter writer(channel.writer(), ReportLost);
  writer.Write("one\n");
  writer.Write(std::string(10'000, 'x') + "\n");
  writer.Write("three\n");
  EXPECT_EQ(channel.ReadAll(), "one\n" + std::string(10'000, 'x') + "\nthree\n");
  EXPECT_EQ(writer.dropped(), 0U);
}

// The test does not read while it writes, so a writer that waits would wait forever.
TEST_P(LineWriterTest, NeverWaitsForAReaderAndReportsHowManyLinesAreLost) {
  Channel channel(GetParam());
  LineWriter writer(channel.writer(), ReportLost);
  const std::string line(99, 'x');
  constexpr int kLines = 10'000;
  for (int i = 0; i < kLines; ++i) writer.Write(line + "\n");
  const uint64_t lost = writer.dropped();
  EXPECT_GT(lost, 0U);
  const std::string first = channel.ReadAll();
  writer.Write("again\n");
  const std::string second = channel.ReadAll();
  EXPECT_THAT(second, HasSubstr(std::to_string(lost) + " are lost\n"));
  EXPECT_THAT(second, EndsWith("again\n"));
  writer.Write("and again\n");
  EXPECT_EQ(channel.ReadAll(), "and again\n") << "the loss must be reported once";
  // Each line arrived whole and once, or is counted as lost.
  const std::string all = first + second;
  size_t whole = 0;
  for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) {
    whole += all.compare(at, 100, line + "\n") == 0 ? 1 : 0;
  }
  EXPECT_EQ(whole + lost, kLines);
}

INSTANTIATE_TEST_SUITE_P(Kinds, LineWriterTest, ::testing::Bool(), [](const auto& row) {
  return std::string(row.param ? "Socket" : "Pipe");
});

TEST(LineWriter, DropsLinesWithoutAFileDescriptor) {
  LineWriter writer(-1, ReportLost);
  writer.Write("one\n");
  EXPECT_EQ(writer.dropped(), 1U);
}

}  // namespace
}  // namespace fairlead
