"""The ledger: cash in micro-dollars, ether in wei, positions in lots, moved from account to account."""

from .constants import FIRST_FREE_ACCOUNT, GENESIS


class Account:
    def __init__(self, role, instruments):
        self.role = role
        self.cash = 0
        self.wei = 0
        self.positions = [0] * instruments


class Ledger:
    def __init__(self, system_accounts, instruments):
        self.instruments = instruments
        self.accounts = [Account(role, instruments) for role in system_accounts]
        assert len(self.accounts) == FIRST_FREE_ACCOUNT

    def open_account(self, role):
        self.accounts.append(Account(role, self.instruments))
        return len(self.accounts) - 1

    def endow(self, number, cash_usd=0.0, ether=0.0, lots=()):
        """Give an account dollars (to the micro-dollar), ether (to the gwei) and lots out of GENESIS."""
        self.transfer_cash(GENESIS, number, int(cash_usd * 10**6))
        self.transfer_wei(GENESIS, number, int(ether * 10**9) * 10**9)
        for instrument, amount in enumerate(lots):
            self.transfer_position(GENESIS, number, instrument, amount)

    def transfer_cash(self, debited, credited, amount):
        self.accounts[debited].cash -= amount
        self.accounts[credited].cash += amount

    def transfer_wei(self, debited, credited, amount):
        self.accounts[debited].wei -= amount
        self.accounts[credited].wei += amount

    def transfer_position(self, debited, credited, instrument, lots):
        self.accounts[debited].positions[instrument] -= lots
        self.accounts[credited].positions[instrument] += lots
