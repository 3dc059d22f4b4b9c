"""What is said of rule packs, in Chinese: sentences only, in the form of ``chinese``; knows no rule."""

from __future__ import annotations

RULES: tuple[tuple[str, str], ...] = (
    ("no point is in such a place", "没有测点在这类位置"),
    ("there is one such point here: nothing to compare it with", "这里只有一个这样的测点，无从比较"),
    ("no flow is measured in its zone", "所在区域没有流量测点"),
    ("nobody knows how many readings are due: give the device expect_every_s", "不知应有多少读数：请给设备填写 expect_every_s"),
    ("nobody knows when the next reading is due: give the device expect_every_s", "不知下一个读数何时应到：请给设备填写 expect_every_s"),
    ("its limit is in {}, the point is in {}", "限值单位为 {}，测点单位为 {}"),
    ("there is no limit: the outlet's permit names none, and no standard we know does", "没有限值：排口许可证未写，所知标准也没有"),
    ("step '{}' needs a point with quantity {} in {} in its zone", "步骤“{}”需要所在区域有单位为 {2} 的 {1} 测点"),
    ("rule '{}' judges nothing here", "规则“{}”在此没有可判定的测点"),
    ("pack '{}' is not in use here", "此处没有使用规则包“{}”"),
    ("an uncertainty is more than 0, not {}", "不确定度须大于 0，而不是 {}"),
    ("'{}' is no number", "“{}”不是数"),
)
