#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The README's table of selftests says what docs/selftests.md says."""

import sys

import selftest_report


def main():
    if selftest_report.readme_is_current():
        print("selftests: the README agrees with the table")
        return 0
    print("README.md: its table of selftests is not that of docs/selftests.md; "
          "run tools/selftest_table.py --write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
