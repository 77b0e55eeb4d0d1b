// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/run.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace wlb::cli {

namespace {

std::string read_all(int fd)
{
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto size = read(fd, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return text;
        text.append(buffer.data(), static_cast<std::size_t>(size));
    }
}

Error failure(const std::string &program, int error)
{
    return Error{program + ": " + std::strerror(error), error};
}

} // namespace

Result<std::string> run_program(const Words &words)
{
    std::array<int, 2> pipe{};
    if (pipe2(pipe.data(), O_CLOEXEC) != 0)
        return failure(words.front(), errno);
    posix_spawn_file_actions_t files{};
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, pipe[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, pipe[1], STDERR_FILENO);
    std::vector<char *> arguments;
    for (const auto &word : words)
        arguments.push_back(const_cast<char *>(word.c_str()));
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int error =
        posix_spawnp(&child, arguments.front(), &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    close(pipe[1]);
    auto text = error == 0 ? read_all(pipe[0]) : "";
    close(pipe[0]);
    if (error != 0)
        return failure(words.front(), error);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return Error{words.front() + ": " + (text.empty() ? "failed" : text)};
    return text;
}

std::string shell_text(const Words &words)
{
    std::string line;
    for (const auto &word : words) {
        const bool plain = !word.empty() && word.find_first_not_of(
                                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                                                "YZ0123456789_-+=./:,@%") == std::string::npos;
        std::string quoted;
        for (const char c : word)
            quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
        line += (line.empty() ? "" : " ") + (plain ? word : "'" + quoted + "'");
    }
    return line;
}

} // namespace wlb::cli
