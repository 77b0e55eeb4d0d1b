// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "wlb/toml_reader.h"

namespace wlb::cli {

namespace {

struct FileCloser {
    void operator()(std::FILE *file) const { std::fclose(file); }
};

Error file_error(const std::string &path, int code)
{
    return Error{path + ": " + std::strerror(code), code};
}

} // namespace

Result<std::string> read_file(const std::string &path)
{
    const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "re"));
    if (!file)
        return file_error(path, errno);
    std::string text;
    std::vector<char> block(1 << 16);
    for (;;) {
        const auto size = std::fread(block.data(), 1, block.size(), file.get());
        text.append(block.data(), size);
        if (std::ferror(file.get()) != 0)
            return file_error(path, errno);
        if (size < block.size())
            return text;
    }
}

std::optional<Config> load_config(Context &context, const std::string &path)
{
    const auto text = read_file(path);
    if (!text) {
        refuse(context, text.error());
        return std::nullopt;
    }
    auto parsed = parse_config(*text);
    if (parsed.errors.empty())
        return std::move(parsed.config);
    auto array = Json::array();
    for (const auto &error : parsed.errors) {
        array.push_back(
            {{"line", error.line}, {"column", error.column}, {"message", error.message}});
        if (!context.json)
            context.err << path << ":" << error.line << ":" << error.column << ": " << error.message
                        << "\n";
    }
    if (context.json)
        context.write({{"errors", array}});
    return std::nullopt;
}

Status write_file(const std::string &path, const std::string &text, mode_t mode)
{
    std::string temporary = path + ".XXXXXX";
    const int fd = mkostemp(temporary.data(), O_CLOEXEC);
    if (fd < 0)
        return file_error(temporary, errno);
    const auto fail = [&](const std::string &name) {
        auto error = file_error(name, errno);
        unlink(temporary.c_str());
        return error;
    };
    const std::unique_ptr<std::FILE, FileCloser> file(fdopen(fd, "w"));
    if (!file) {
        auto error = fail(temporary);
        close(fd);
        return error;
    }
    if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() ||
        std::fflush(file.get()) != 0 || fchmod(fd, mode) != 0 || fsync(fd) != 0)
        return fail(temporary);
    if (std::rename(temporary.c_str(), path.c_str()) != 0)
        return fail(path);
    return Done{};
}

int write_out(Context &context, const Options &options, const std::string &text, mode_t mode)
{
    if (!options.has("FILE")) {
        context.out << text;
        return done;
    }
    if (const auto status = write_file(options.text("FILE"), text, mode); !status)
        return refuse(context, status.error());
    return done;
}

} // namespace wlb::cli
