"""Sentences about records of lots and photos in Chinese, as ``chinese.py`` has the others; knows no record."""

from __future__ import annotations

from itertools import permutations

#: What a record may lack, in the words of `missing …`.
LACKS = {"certificate": "检疫证明", "slip": "票据", "temperature": "温度", "photo": "照片", "unexpired": "有效期内"}
_MISSING = tuple(
    (english.replace("%", ", ".join(each)), words.replace("%", "、".join(LACKS[name] for name in each)))
    for english, words in (("lot {} cannot be dispatched: missing %", "批次 {} 不能出场：缺少%"), ("lot {}: missing %", "批次 {}：缺少%"))
    for many in (1, 2, 3, 4)
    for each in permutations(LACKS, many)
)

RECORDS: tuple[tuple[str, str], ...] = (
    *_MISSING,
    ("lot {} cannot be dispatched: missing {}", "批次 {} 不能出场：缺少 {}"),
    ("record what is missing first", "请先补录缺少的项目"),
    ("lot {}: missing {}", "批次 {}：缺少 {}"),
    ("lot {}: what is disposed of needs a reason", "批次 {}：无害化处理须写明理由"),
    ('record it, or add --reason "why it goes on without"', "请补录，或加 --reason 写明为何在缺项时继续"),
    ("lot {} is here already", "批次 {} 已在场"),
    ("give it another number, or correct the record that is wrong", "请换一个编号，或更正有误的记录"),
    ("name the --zone that it goes to, or the lots that a new one is made --from", "请用 --zone 写明去往的区域，或用 --from 写明来源批次"),
    ("a lot that moves keeps its weight and its product", "转移的批次不改变重量和品名"),
    ("make a new lot --from it", "请用 --from 建立新批次"),
    ("a lot is not made from itself", "批次不能由自身加工而成"),
    ("give the new lot a number of its own", "请为新批次另取编号"),
    ("no lot {} is known here", "此处没有批次 {}"),
    ("`edge-gateway record list` shows the lots; `record intake` begins one", "`edge-gateway record list` 列出批次；`record intake` 登记新批次"),
    ("nothing is left of lot {}", "批次 {} 已无余量"),
    ("`edge-gateway record trace {}` says where it went", "`edge-gateway record trace {}` 可查其去向"),
    ("of lot {} {} kg are left, not {} kg", "批次 {} 余 {} kg，不足 {} kg"),
    ("no record '{}'", "没有记录类型“{}”"),
    ("not said: {}", "未填写：{}"),
    ("a record of this type needs it", "此类记录必须填写"),
    ("a record of type {} has no {}", "{} 类记录没有 {} 一项"),
    ("'{}' has {} characters: 1 to {}, on one line", "“{}”有 {} 个字符：须为 1 至 {} 个，写在一行"),
    ("'{}' is no lot number", "“{}”不是批次编号"),
    ("up to 40 letters, digits, dots, underscores and hyphens", "最多 40 个字母、数字、点、下划线和连字符"),
    ("'{}' is no weight in kg", "“{}”不是以 kg 计的重量"),
    ("write it as 120 or 120.5, with at most three decimals", "写法如 120 或 120.5，最多三位小数"),
    ("{} g is no weight of a lot", "{} g 不是批次的重量"),
    ("a lot is made from 1 to {} others", "一个批次由 1 至 {} 个批次加工而成"),
    ("in several steps", "请分几步登记"),
    ("'{}' is no date", "“{}”不是日期"),
    ("write it as 2026-12-31", "写法如 2026-12-31"),
    ("{} records are in force", "有效记录已达 {} 条"),
    ("dispatch lots that are gone, or void what is wrong", "请登记已离场批次的出场，或作废误记的记录"),
    ("no record {} is in force", "没有有效的记录 {}"),
    ("`edge-gateway record list` shows them; what was replaced is replaced", "`edge-gateway record list` 可查；已被更正的不能再更正"),
    ("{} is of type {}", "{} 的类型是 {}"),
    ("void it, and record the right one", "请作废后重新登记"),
    ("a correction needs a reason", "更正须写明理由"),
    ('add --reason "what was wrong"', "请加 --reason 写明错在哪里"),
    ("a correction keeps the temperature that was taken", "更正沿用当时所取的温度"),
    ("leave --temperature out; void the record if it was another point", "请去掉 --temperature；若测点取错，请作废原记录"),
    ("a reason has at most {} characters", "理由最多 {} 个字符"),
    ("no zone '{}'", "没有区域“{}”"),
    ("'{}' is no point that measures a temperature", "“{}”不是温度测点"),
    ("`edge-gateway status --points` lists the points", "`edge-gateway status --points` 列出测点"),
    ("'{}' has no reading yet", "“{}”尚无读数"),
    ("wait for one, or record it without a temperature", "请等待读数，或不带温度登记"),
    ("no lot {} is in the record", "台账中没有批次 {}"),
    ("`edge-gateway record list --all` shows them", "`edge-gateway record list --all` 可查"),
    ("no record {} is in the journal", "台账中没有记录 {}"),
    ("lot {} stands there twice", "批次 {} 写了两次"),
    ("the photo is larger than {} MiB", "照片大于 {} MiB"),
    ("take it with a lower resolution, or save it smaller", "请用较低分辨率拍摄，或另存为较小的文件"),
    ("take it with a lower resolution", "请用较低分辨率拍摄"),
    ("its first bytes are not those of a JPEG, PNG, WebP or HEIC picture", "文件开头不是 JPEG、PNG、WebP 或 HEIC 图片"),
    ("bring the file as the camera wrote it", "请送交相机原始文件"),
    ("an entry names at most {} photos", "一条记录最多引用 {} 张照片"),
    ("in two steps", "请分两步"),
    ("no photo {} is here", "没有照片 {}"),
    ("bring it (again): `edge-gateway photo add FILE`", "请（重新）送交：`edge-gateway photo add FILE`"),
    ("{} has {} bytes: a photo has 1 to {}", "{} 有 {} 字节：照片须为 1 至 {} 字节"),
    ("name a file that you may read", "请指定可读取的文件"),
    ("{} cannot be written: {}", "{} 无法写入：{}"),
    ("name a new file", "请指定新文件名"),
    ("there is no room for a photo", "没有存放照片的空间"),
    ("let the hub be reached, or make room on the disk", "请恢复与监管端的连接，或腾出磁盘空间"),
    ("the disk took no photo: {}", "磁盘未能写入照片：{}"),
    ("bring it again", "请重新送交"),
)  # fmt: skip
