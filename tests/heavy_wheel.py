"""Writes the same wheel each time: a package of 5 MB with a program and a data file.

    heavy_wheel.py DIRECTORY
"""

import hashlib
import pathlib
import sys
import zipfile

digits = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(80_000))
files = {
    "heavy/__init__.py": "from .digits import DIGITS\n\n\ndef main():\n    print(len(DIGITS))\n",
    "heavy/digits.py": f'DIGITS = "{digits}"\n',
    "heavy/table.csv": "a,b\n1,2\n",
    "heavy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: heavy\nVersion: 1.0\n",
    "heavy-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "heavy-1.0.dist-info/entry_points.txt": "[console_scripts]\nheavy = heavy:main\n",
}
record = "heavy-1.0.dist-info/RECORD"
files[record] = "".join(f"{name},,\n" for name in [*files, record])
path = pathlib.Path(sys.argv[1]) / "heavy-1.0-py3-none-any.whl"
with zipfile.ZipFile(path, "w") as wheel:
    for name, text in files.items():
        wheel.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text)
print(path)
