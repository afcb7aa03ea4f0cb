#!/usr/bin/env python3
"""Records a command on a real terminal and draws its last screen as an SVG.

    docs/record.py docs/up.svg devenv up

The command runs on a pseudo-terminal; what it writes goes through a small terminal (cursor, erase, colours), whose
final screen is drawn. What is shown as the command line is the arguments as they are given.
"""

import fcntl, os, pty, re, struct, sys, termios
from html import escape

COLUMNS, ROWS = 100, 40
CELL, LINE, PAD, BAR = 8.4, 19, 18, 34
INK, PAPER, DIM = "#d7dae0", "#1b1e24", "#7d8590"
COLOURS = ["#3b4048", "#f47067", "#6bc46d", "#e0b04c", "#6cb6ff", "#dcbdfb", "#56d4dd", "#d7dae0"]
BRIGHT = ["#7d8590", "#ff938a", "#8ddb8c", "#f0c869", "#96d0ff", "#e8d4ff", "#7fe3ea", "#ffffff"]
SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>78]|\x1b\][^\x07]*\x07")


def record(argv):
    """Everything the command writes to its terminal."""
    child, terminal = pty.fork()
    if child == 0:
        for name in ("CI", "NO_COLOR"):
            os.environ.pop(name, None)
        os.environ["TERM"] = "xterm-256color"
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvp(argv[0], argv)
    written = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        written += chunk
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{' '.join(argv)} failed:\n{written.decode(errors='replace')}")
    return written.decode()


class Screen:
    """Lines of (character, style) cells, without an upper limit of lines."""

    def __init__(self):
        self.lines, self.row, self.column, self.style = [[]], 0, 0, (None, False, False)

    def feed(self, text):
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            if found:
                if found.group(2):
                    self.control(found.group(1), found.group(2))
                at = found.end()
            else:
                self.put(text[at])
                at += 1

    def put(self, char):
        if char == "\n":
            self.row += 1
        elif char == "\r":
            self.column = 0
        elif char >= " ":
            if self.column == COLUMNS:
                self.row, self.column = self.row + 1, 0
            line = self.line()
            line.extend([(" ", (None, False, False))] * (self.column + 1 - len(line)))
            line[self.column] = (char, self.style)
            self.column += 1

    def line(self):
        while len(self.lines) <= self.row:
            self.lines.append([])
        return self.lines[self.row]

    def control(self, text, letter):
        numbers = [int(number) for number in text.strip("?").split(";") if number] or [0]
        count = max(numbers[0], 1)
        if letter == "A":
            self.row = max(self.row - count, 0)
        elif letter == "B":
            self.row += count
        elif letter == "C":
            self.column += count
        elif letter == "D":
            self.column = max(self.column - count, 0)
        elif letter == "G":
            self.column = count - 1
        elif letter == "K":
            line = self.line()
            del line[0 if numbers[0] else self.column :]
        elif letter == "J":
            del self.line()[self.column :]
            del self.lines[self.row + 1 :]
        elif letter == "m":
            self.paint(numbers)

    def paint(self, numbers):
        colour, bold, dim = self.style
        numbers = list(numbers)
        while numbers:
            code = numbers.pop(0)
            if code == 0:
                colour, bold, dim = None, False, False
            elif code == 1:
                bold = True
            elif code == 2:
                dim = True
            elif code == 22:
                bold = dim = False
            elif 30 <= code <= 37:
                colour = COLOURS[code - 30]
            elif 90 <= code <= 97:
                colour = BRIGHT[code - 90]
            elif code == 38 and numbers[:1] == [5]:
                index = numbers[1] if len(numbers) > 1 else 7
                colour = (COLOURS + BRIGHT)[index] if index < 16 else INK
                numbers = numbers[2:]
            elif code == 39:
                colour = None
        self.style = (colour, bold, dim)


def runs(line):
    """Neighbouring cells of one style, with the column they begin at."""
    begin = 0
    for at in range(1, len(line) + 1):
        if at == len(line) or line[at][1] != line[begin][1]:
            yield begin, "".join(char for char, _ in line[begin:at]), line[begin][1]
            begin = at


def draw(lines, title):
    width = COLUMNS * CELL + 2 * PAD
    height = BAR + len(lines) * LINE + PAD
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" role="img" aria-label="{escape(title)}"'
        ' font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\',monospace" font-size="14">',
        f'<rect width="100%" height="100%" rx="9" fill="{PAPER}"/>',
    ]
    for at, colour in enumerate((COLOURS[1], COLOURS[3], COLOURS[2])):
        out.append(f'<circle cx="{PAD + 6 + 20 * at}" cy="18" r="6" fill="{colour}"/>')
    for row, line in enumerate(lines):
        baseline = BAR + (row + 1) * LINE - 5
        for begin, text, (colour, bold, dim) in runs(line):
            if not text.strip():
                continue
            fill = DIM if dim else colour or INK
            weight = ' font-weight="bold"' if bold else ""
            # The length keeps columns in place whatever the font is.
            out.append(
                f'<text x="{PAD + begin * CELL:.1f}" y="{baseline}" fill="{fill}"{weight} xml:space="preserve"'
                f' textLength="{len(text) * CELL:.1f}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
            )
    return "\n".join(out + ["</svg>", ""])


def main():
    target, argv = sys.argv[1], sys.argv[2:]
    screen = Screen()
    shown = " ".join([os.path.basename(argv[0])] + argv[1:])
    screen.feed(f"\x1b[32m$\x1b[0m \x1b[1m{shown}\x1b[0m\r\n")
    screen.feed(record(argv))
    lines = screen.lines
    while lines and not any(char.strip() for char, _ in lines[-1]):
        lines.pop()
    with open(target, "w") as file:
        file.write(draw(lines, shown))


main()
