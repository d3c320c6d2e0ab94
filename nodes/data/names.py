"""What a column's name suggests: its words, a unit, the kind of measure, the kind of category.

Only the second witness: ``roles`` asks the values first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_FLOW = {
    "quantity", "qty", "units", "unit", "sales", "sale", "sold", "volume", "vol", "count", "counts", "revenue",
    "turnover", "amount", "generation", "production", "output", "consumption", "exports", "imports", "export",
    "import", "litres", "liters", "bottles", "tonnes", "tons", "gallons", "registrations", "registered",
    "deliveries", "shipments", "orders", "transactions", "visits", "visitors", "arrivals", "passengers", "trips",
    "rides", "births", "deaths", "accidents", "strikes", "casualties", "fatalities", "injuries", "downloads",
    "spend", "spending", "gross", "emissions", "rainfall", "precipitation", "energy", "mwh", "kwh", "gwh", "twh",
    "kt", "barrels", "boxes", "purchases", "bookings", "nights", "cases", "permits", "starts", "cars", "vehicles",
    "pieces", "antall", "menge", "absatz", "umsatz", "ventes", "ventas", "cantidad", "produced", "generated",
    "shipped", "harvested", "catch", "landings", "wins", "profit", "profits", "income", "earnings", "cost", "costs",
    "expenditure", "loss", "losses", "fees", "tickets", "admissions", "patients", "guests", "enrolments", "enrollments",
    "discharges", "referrals", "appointments", "sålda", "försäljning", "salg", "verkauft",
    "anzahl", "stück", "vendidas", "produktion", "produksjon", "producción",
}  # fmt: skip
_STOCK = {
    "population", "people", "persons", "inhabitants", "stores", "outlets", "employees", "employment", "employed",
    "unemployed", "unemployment", "subscribers", "users", "customers", "members", "inventory", "stock",
    "capacity", "fleet", "installed", "debt", "assets", "balance", "outstanding", "households", "beds",
    "headcount", "residents", "accounts", "shops", "stations", "workers", "jobs", "mrr", "arr", "recurring", "pop",
}  # fmt: skip
_STOCK_MOVES = {
    "new",
    "added",
    "lost",
    "gained",
    "joined",
    "hired",
    "churn",
    "churned",
    "departed",
}  # of a stock: flows
_SAYS_NOTHING = {  # names of columns and files that do not say what is measured
    "value", "values", "val", "data", "dataset", "figure", "figures", "number", "numbers", "count", "counts", "n",
    "total", "obs", "observation", "observations", "estimate", "table", "export", "file", "wide", "report", "results",
}  # fmt: skip
_INTENSIVE = {
    "price", "prices", "rate", "ratio", "pct", "percent", "percentage", "share", "shares", "index", "score",
    "rating", "temperature", "temp", "yield", "mean", "avg", "average", "median", "margin", "per", "density",
    "close", "open", "high", "low", "nav", "humidity", "speed", "expectancy", "fertility", "mpg", "weight",
    "height", "age", "elevation", "concentration", "ppm", "pressure", "ph", "intensity", "probability",
    "rank", "level", "quality", "efficiency", "growth", "change", "delta", "celsius", "fahrenheit", "degrees",
    "rent", "rents", "wage", "salary", "salaries", "fare", "fares", "tariff", "tariffs", "interest", "cpi",
    "inflation", "multiple", "max", "min",
}  # fmt: skip
_COMPANY = {
    "make", "maker", "makes", "brand", "brands", "company", "companies", "manufacturer", "manufacturers",
    "supplier", "suppliers", "vendor", "vendors", "operator", "operators", "firm", "firms", "producer",
    "producers", "symbol", "ticker", "retailer", "retailers", "airline", "airlines", "carrier", "carriers",
    "bank", "banks", "seller", "sellers", "competitor", "competitors", "organization", "organisation",
    "publisher", "studio", "distributor", "distributors", "merchant", "dealer", "provider", "providers",
    "insurer", "owner", "team",
}  # fmt: skip
_ENGLISH = {  # headers in other languages that name companies
    "marke": "brand", "märke": "brand", "merke": "brand", "mærke": "brand", "marque": "brand", "marca": "brand",
    "hersteller": "manufacturer", "fabricant": "manufacturer", "fabricante": "manufacturer", "anbieter": "provider",
    "empresa": "company", "unternehmen": "company", "bedrift": "company", "firma": "company", "företag": "company",
}  # fmt: skip
_ENGLISH_CATEGORY = {  # headers in other languages that name other categories
    "région": "region", "región": "region", "regione": "region", "ville": "city", "stadt": "city", "ciudad": "city",
    "pays": "country", "país": "country", "bundesland": "state", "fylke": "county", "kommune": "municipality",
    "produkt": "product", "produit": "product", "producto": "product", "kategorie": "category", "catégorie": "category",
}  # fmt: skip
_CATEGORY = {
    "source", "sources", "fuel", "type", "kind", "category", "product", "region", "country", "state", "province",
    "city", "county", "district", "site", "station", "series", "industry", "sector", "segment", "channel",
    "group", "class", "name", "item", "crop", "species", "continent", "area", "zone", "market", "store", "model",
    "genre", "department", "division", "team", "variety", "sex", "gender", "plan", "tier", "ward",
}  # fmt: skip
_ID = {
    "id", "code", "zip", "zipcode", "postcode", "postal", "phone", "lat", "lon", "lng", "latitude", "longitude",
    "rank", "key", "uuid", "guid", "serial", "fips", "isbn", "sku", "invoice", "number", "no", "nr",
}  # fmt: skip
_HARM = {
    "accident", "accidents", "death", "deaths", "fatalities", "injuries", "casualties", "victims", "cases",
    "crime", "crimes", "disaster", "disasters", "strikes", "suicides", "murders", "illness", "disease",
    "infections", "unemployed", "unemployment",
}  # fmt: skip
_COVERAGE = {  # places that report: a new one says that more is seen, not that more is there
    "site", "sites", "station", "stations", "outlet", "outlets", "store", "stores", "shop", "shops", "branch",
    "branches",
    "plant", "plants", "sensor", "sensors", "meter", "meters", "gauge", "gauges", "school", "schools", "hospital",
    "hospitals", "clinic", "clinics", "pharmacy", "pharmacies", "farm", "farms", "port", "ports", "airport", "airports",
    "depot", "depots", "restaurant", "restaurants", "hotel", "hotels", "location", "locations", "country", "countries",
    "ward", "wards",
    "county", "counties", "region", "regions", "state", "states", "province", "provinces", "city", "cities", "district",
    "districts", "municipality", "municipalities", "area", "areas", "zone", "zones", "respondent", "respondents",
}  # fmt: skip
_TIME = {
    "year", "yr", "date", "time", "month", "quarter", "period", "week", "day", "timestamp", "datetime", "season",
    "jahr", "annee", "année", "ano", "año", "år", "jaar", "monat", "mois", "månad", "måned",
    "dato", "datum", "fecha", "epoch", "ts", "created", "recorded", "observed",
}  # fmt: skip
_SPAN = {"start", "begin", "began", "begun", "since", "end", "ended", "finish", "until", "founded", "closed"}
_UNITS = {
    "usd": "USD", "eur": "EUR", "gbp": "GBP", "nok": "NOK", "sek": "SEK", "dkk": "DKK", "chf": "CHF", "jpy": "JPY",
    "kt": "kt", "mt": "Mt", "kg": "kg", "mwh": "MWh", "gwh": "GWh", "twh": "TWh", "kwh": "kWh", "mw": "MW",
    "gw": "GW", "litres": "litres", "liters": "liters", "hl": "hl", "m3": "m³", "km": "km", "pct": "%", "percent": "%",
    "ppm": "ppm", "tonnes": "tonnes", "tons": "tons", "barrels": "barrels", "gallons": "gallons", "bottles": "bottles",
    "units": "units", "passengers": "passengers", "people": "people", "persons": "persons", "dollars": "dollars",
    "euros": "euros", "vehicles": "vehicles", "cars": "cars", "registrations": "registrations", "celsius": "°C",
    "fahrenheit": "°F", "enheter": "enheter", "stück": "Stück", "unidades": "unidades",
}  # fmt: skip
CURRENCIES = {
    "usd", "eur", "gbp", "nok", "sek", "dkk", "chf", "jpy", "aud", "cad", "nzd", "inr", "cny", "pln", "czk", "huf",
    "brl", "mxn", "zar", "sgd", "hkd", "krw", "isk", "rub",
}  # fmt: skip
_MONEY = {code: code.upper() for code in sorted(CURRENCIES)} | {"dollars": "dollars", "euros": "euros"}
_MONEY |= {"us$": "USD", "$": "dollars", "€": "EUR", "£": "GBP"}
_SCALES = {  # alone at the end of a name, or beside a currency
    "mn": "million", "mio": "million", "million": "million", "millions": "million", "bn": "billion", "mrd": "billion",
    "billion": "billion", "billions": "billion", "thousand": "thousand", "thousands": "thousand", "tsd": "thousand",
}  # fmt: skip
_BRIEF_SCALES = {**_SCALES, "m": "million", "mm": "million", "mill": "million", "b": "billion", "k": "thousand",
                 "t": "thousand"}  # fmt: skip
_COUNTED = {  # names of measures that say themselves what is counted
    "quantity", "qty", "count", "counts", "antall", "cantidad", "registered", "registrations", "deliveries",
    "shipments", "orders", "transactions", "visits", "visitors", "arrivals", "passengers", "trips", "rides", "births",
    "downloads", "purchases", "bookings", "nights", "permits", "starts", "cars", "vehicles", "pieces", "wins",
    "bottles", "tickets", "admissions", "patients", "guests", "students", "enrolments", "enrollments", "appointments",
}  # fmt: skip
_PEOPLE = {  # amounts of people who are served: nobody stocks them, and nobody sells them
    "admissions", "patients", "visits", "visitors", "arrivals", "passengers", "births", "guests", "students",
    "enrolments", "enrollments", "applicants", "attendance", "trips", "rides", "riders", "nights", "referrals",
    "discharges", "appointments", "calls",
}  # fmt: skip
_PIECES = {
    "units",
    "unit",
    "volume",
    "items",
    "litres",
    "liters",
    "tonnes",
    "tons",
    "kg",
    "bottles",
    "barrels",
    "boxes",
}
_SIGNS = {"$": "dollars", "€": "EUR", "£": "GBP", "%": "%"}
_SPEAKS_OF_ALL = {"market", "research", "report", "sample"}  # words that many a goal has
LEAST_SPOKEN = 4  # letters of a column's name that a goal may speak of
CURRENCY_SIGNS = "$€£"
_IN_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]{1,24}?)\s*[)\]]\s*$")
_INVARIANT = {"series", "species", "means"}


def words(name: str) -> list[str]:
    """``unitPrice_USD`` → unit, price, usd."""
    return re.findall(r"[^\W\d_]+|\d+|%", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold())


def suggests(name: str, kind: str) -> bool:
    """Whether a word of the name is of a kind: flow, stock, intensive, company, category, id, time, harm and others.

    Span: a bound of a time.
    Coverage: those who report (sites, stations, countries), of whom more may report without more being there.
    """
    lexicon = {
        "flow": _FLOW, "stock": _STOCK, "intensive": _INTENSIVE, "company": _COMPANY | set(_ENGLISH),
        "category": _CATEGORY | set(_ENGLISH_CATEGORY), "id": _ID,
        "time": _TIME, "span": _SPAN, "harm": _HARM, "coverage": _COVERAGE, "counted": _COUNTED | _STOCK | _HARM,
    }[kind]  # fmt: skip
    found = words(name)
    if kind == "intensive" and "%" in found:
        return True
    if kind in ("stock", "flow") and stock_in(name) and _STOCK_MOVES & set(found):
        return kind == "flow"  # new customers come per period
    return bool(stock_in(name)) if kind == "stock" else any(word in lexicon for word in found)


def stock_in(text: str) -> str:
    """The first word of a text that speaks of a stock (``population``, ``stocks of``); empty if none does."""
    found = words(text)
    return next((word for at, word in enumerate(found) if word in _STOCK or found[at : at + 2] == ["stocks", "of"]), "")


def says_nothing(name: str) -> bool:
    """Whether a header or a file's name leaves open what is measured (``value``, ``data_2020``)."""
    return all(word in _SAYS_NOTHING or word.isdigit() for word in words(name))


def counts_pieces(name: str) -> bool:
    """Whether the name says that things are counted, so that no money is meant."""
    return suggests(name, "counted") or bool(_PIECES & set(words(name)))


def counts_people(name: str) -> bool:
    """Whether the name says that people are counted who come to be served (patients, passengers)."""
    return bool(_PEOPLE & set(words(name)))


def unit_of(name: str) -> str:
    """The unit in a header such as ``sales_usd``, ``Volume (t)`` or ``Sale [EUR]``; empty if none is stated."""
    if found := _IN_BRACKETS.search(name):
        return _scaled(re.findall(r"us\$|[$€£]|[^\W\d_]+|\d+", found[1].casefold())) or found[1]
    parts = words(name)
    sign = next((sign for sign in CURRENCY_SIGNS if sign in name), "")
    if scaled := _SIGNS.get(sign) or _scaled(parts[-2:]) or _scaled(parts[-1:]):
        return scaled
    if "%" in parts:
        return "%"
    if parts[-1:] in (["c"], ["f"]) and {"temp", "temperature"} & set(parts):
        return f"°{parts[-1].upper()}"
    if "per" in parts[1:-1]:
        at = parts.index("per", 1)
        return (
            f"{_UNITS[parts[at - 1]]} per {_UNITS.get(parts[at + 1], parts[at + 1])}" if parts[at - 1] in _UNITS else ""
        )
    return _UNITS.get(parts[-1], "") if parts else ""


def _scaled(parts: list[str]) -> str:
    """``musd``, ``usd m`` → million USD; ``bn usd`` → billion USD; a currency or a scale alone; else empty."""
    if len(parts) == 2:
        for scale, money in (parts, parts[::-1]):
            if scale in _BRIEF_SCALES and money in _MONEY:
                return f"{_BRIEF_SCALES[scale]} {_MONEY[money]}"
        return ""
    word = parts[0] if len(parts) == 1 else ""
    for scale in sorted(_BRIEF_SCALES, key=len, reverse=True):
        if word.startswith(scale) and word[len(scale) :] in CURRENCIES:
            return f"{_BRIEF_SCALES[scale]} {word[len(scale) :].upper()}"
    return _MONEY.get(word) or _SCALES.get(word, "")


def is_money(unit: str) -> bool:
    """Whether a unit is a currency, or thousands or millions of one."""
    last = unit.rsplit(" ", maxsplit=1)[-1]
    return last in {*_MONEY.values(), "kr", "¥"} or last.casefold() in CURRENCIES


def unit_in(cells: Iterable[str]) -> str:
    """The unit that all cells carry as a sign, such as ``$5.00`` or ``12 %``; empty if they do not."""
    found = {next((sign for sign in _SIGNS if sign in cell), "") for cell in cells}
    return _SIGNS.get(found.pop(), "") if len(found) == 1 else ""


@dataclass(frozen=True, slots=True)
class Noun:
    """What an entity is called in a sentence."""

    one: str
    many: str
    company: bool


def in_english(word: str) -> str:
    """A word of a header in English, if it is a category that is known in another language."""
    return _ENGLISH.get(word) or _ENGLISH_CATEGORY.get(word, word)


def spoken_of(name: str, texts: Iterable[str]) -> bool:
    """Whether one of the texts speaks of the column: it has all of its words, or ``S&P 500`` for ``SP500``."""
    wanted, squeezed = set(words(name)), "".join(words(name))
    if len(squeezed) < LEAST_SPOKEN or wanted & (_SAYS_NOTHING | _SPEAKS_OF_ALL):
        return False
    coded = any(map(str.isdigit, squeezed))
    return any(wanted <= set(words(text)) or (coded and squeezed in "".join(words(text))) for text in texts)


def noun_for(column: str) -> Noun:
    """``Make`` → make, makes; names that say nothing about the thing become "group"."""
    parts = [in_english(word) for word in words(column)]
    parts = [word for word in parts if word.isalpha() and word.isascii()]
    speaking = [word for word in parts if word in _COMPANY or word in _CATEGORY] or parts[-2:]
    if not speaking or speaking == ["name"]:
        return Noun("group", "groups", company=False)
    last = next((word for word in reversed(speaking) if word != "name"), speaking[-1])
    one = _singular(last)
    return Noun(one, _plural(one), company=suggests(column, "company"))


def _singular(word: str) -> str:
    if word in _INVARIANT or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]


def _plural(word: str) -> str:
    if word in _INVARIANT:
        return word
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")
