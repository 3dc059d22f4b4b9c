"""``people add|list|remove``: who has a secret of their own, and so can close and withdraw; never shows or takes one on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.person import secret
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.people.book import ROLES


@noun(
    "people",
    zh="有个人口令的人员。较重违规的关闭和任何撤销都需要第二个人证明身份。口令只以 scrypt 散列保存在状态目录的 people.toml 中。",
    examples=[
        'sudo edge-gateway people add 李敏 --role quality --reason "quality manager"',
        "edge-gateway people list",
        'sudo edge-gateway people remove 李敏 --reason "left the site"',
    ],
)
def command() -> None:
    """People with a secret of their own: major violations are closed, and any is withdrawn, only by a second person who proves who they are."""


_ROLE_ZH = {"operator": "操作员", "quality": "质量员", "manager": "负责人", "officer": "首席服务官"}


@verb("list", zh="列出人员和角色；从不显示口令。", examples=["edge-gateway people list", "edge-gateway people list --json"])
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """Names and roles; never a secret."""
    people = Client(ctx.socket).get("/v1/people")["people"]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/people/1", "people": people}, ensure_ascii=False))
        return OK
    for each in people:
        click.echo(f"{each['name']}  {ctx.say(each['role'], _ROLE_ZH.get(each['role'], each['role']))}")
    if not people:
        click.echo(ctx.say("nobody has a secret: nobody here can be a second person", "尚无人员：本机无人可作第二确认人"), err=True)
    return OK


@verb(
    "add",
    zh="添加一人，或给他新口令（提示输入两次，或 --secret-file）。仅限 root 或服务用户；写入记录。",
    examples=[
        'sudo edge-gateway people add 李敏 --role quality --reason "quality manager"',
        'sudo edge-gateway people add li --role officer --secret-file li.txt --reason "officer"',
    ],
)
@click.argument("name")
@option("--role", type=click.Choice(ROLES), required=True, help="what this person is here; it grants nothing", zh="角色，仅作说明")
@option("--reason", required=True, help="why; goes on record", zh="理由，写入记录")
@option("--secret-file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE", help="the secret; - for standard input", zh="口令文件；- 表示标准输入")
@click.pass_obj
def add(ctx: Context, name: str, role: str, reason: str, secret_file: Path | None) -> int:
    """Add somebody, or give them a new secret. For root and the service's user; goes on record, without the secret."""
    word = secret(ctx, secret_file, ctx.say(f"New secret of {name}", f"{name} 的新口令"), twice=True)
    Client(ctx.socket).post("/v1/people/add", {"name": name, "role": role, "reason": reason, "secret": word})
    click.echo(ctx.say(f"{name} has a secret of their own now", f"{name} 已有个人口令"), err=True)
    return OK


@verb("remove", zh="移除一人。仅限 root 或服务用户；写入记录。", examples=['sudo edge-gateway people remove 李敏 --reason "left the site"'])
@click.argument("name")
@option("--reason", required=True, help="why; goes on record", zh="理由，写入记录")
@click.pass_obj
def remove(ctx: Context, name: str, reason: str) -> int:
    """Take somebody's secret away. For root and the service's user; goes on record."""
    Client(ctx.socket).post("/v1/people/remove", {"name": name, "reason": reason})
    click.echo(ctx.say(f"{name} has no secret any more", f"{name} 不再有个人口令"), err=True)
    return OK


for _verb in (list_, add, remove):
    command.add_command(_verb)
