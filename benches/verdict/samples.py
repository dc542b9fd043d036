"""What the independent cases share: names of causes, and small files of data."""

# What the causes are called.
LIBRARY = ("library",)
ENVIRONMENT = ("environment",)
HASHSEED = ("hash-seed", *ENVIRONMENT)
ORDER = ("order",)
CODE = ("code",)
THREADS = ("machine",)
CLOCK = ("clock",)
NETWORK = ("network",)

LAPS = "driver,lap,seconds\nanna,1,84.120\nanna,2,83.905\nanna,3,84.377\nbo,1,85.018\nbo,2,83.412\nbo,3,84.650\n"
VISITS = "at,page\n2023-03-06 09:12:51,home\n2023-03-06 09:14:07,prices\n2023-03-06 09:21:40,home\n2023-03-07 11:02:13,contact\n2023-03-07 11:03:59,home\n"
LOG = (
    "2024-05-01 10:00:01 INFO  worker pid=4211 queue at 0x7f3a10c2d4f0 opened\n"
    "2024-05-01 10:00:02 INFO  worker pid=4211 copied 1840 rows in 12.4 ms\n"
    "2024-05-01 10:00:02 WARN  worker pid=4212 retry 1 of 3\n"
    "2024-05-01 10:00:05 INFO  worker pid=4212 copied 977 rows in 9.8 ms\n"
)
ORDERS = """[{"id": "0c4f8a52-5d0e-4c55-9a5e-1f2d6f1b7a01", "amount": 120},
 {"id": "7be1d9c3-2f64-4e0b-8d11-93a0c8e4f502", "amount": 80},
 {"id": "e95a0b17-8c3d-4b7f-b6f2-5d4c3b2a1903", "amount": 45}]
"""
SENSOR = "21.4\n22.0\n40.3\n19.8\n20.6\n"
WEIGHTS = "0.50\n0.25\n0.75\n0.10\n"
NAMES = "ada\nbela\ncarl\ndora\nemil\nfay\ngus\nhal\nida\njon\nkim\nlea\n"
PENGUINS = (
    "species,bill,flipper,mass\nAdelie,39.1,181,3750\nAdelie,39.5,186,3800\nAdelie,40.3,195,3250\nAdelie,36.7,193,3450\n"
    "Chinstrap,46.5,192,3500\nChinstrap,50.0,196,3900\nChinstrap,51.3,193,3650\nChinstrap,45.4,188,3525\n"
    "Gentoo,46.1,211,4500\nGentoo,50.0,230,5700\nGentoo,48.7,210,4450\nGentoo,50.0,218,5700\n"
)
STATIONS = '{"Bergen": {"lat": 60.39, "lon": 5.32}, "Oslo": {"lat": 59.91, "lon": 10.75}}\n'
EDGES = "a b 3\na c 1\nb c 2\nc d 5\nd e 1\ne f 4\nf d 2\n"
GRID = "1.5 2.5 3.5\n4.5 5.5 6.5\n7.5 8.5 9.5\n"
STOCK = "item,shelf,count\nnuts,A,120\nbolts,A,75\nwashers,B,300\nscrews,C,42\n"
TEAMS = "ann red\nben blue\ncid red\n"
