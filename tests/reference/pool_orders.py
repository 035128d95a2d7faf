"""What everyone who deals with a pool sends."""

from .constants import ANYWHERE, MINT, PUBLIC, SWAP
from .mempool import Transaction


def swap_gas(gas, crossings):
    return gas.swap + crossings * gas.swap_tick


def send(agent, kind, gas, decided, expires, max_fee, tip, **fields):
    return agent.model.mempool.submit(
        Transaction(
            kind=kind,
            sender=agent.account,
            access=agent.access,
            instrument=agent.instrument.number,
            pool=agent.pool,
            gas=gas,
            bytes=agent.model.gas.bytes_per_transaction,
            decided=decided,
            expires=expires,
            max_fee=max_fee,
            tip=min(tip, max_fee),
            **fields,
        )
    )


def send_swap(
    agent,
    side,
    style,
    amount,
    bound,
    lots,
    gas,
    decided,
    expires,
    max_fee,
    tip,
    copy=0,
    route=PUBLIC,
    further=0,
    placement=ANYWHERE,
    target=0,
):
    fields = {"side": side, "style": style, "amount": amount, "bound": bound, "size": lots}
    fields |= {"independent": copy > 0, "nonce": copy, "copy": copy + further, "route": route}
    fields |= {"placement": placement, "target": target}
    return send(agent, SWAP, gas, decided, expires, max_fee, tip, **fields)


def send_liquidity(agent, kind, ticks, amount, bound, decided, expires, max_fee, tip):
    gas = agent.model.gas.mint if kind == MINT else agent.model.gas.burn
    send(agent, kind, gas, decided, expires, max_fee, tip, range=ticks, amount=amount, bound=bound)
