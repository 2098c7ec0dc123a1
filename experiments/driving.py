"""Policies that drive on highway-env, what crashes, and what a picture adds. Twenty minutes.

For chapter 22. Three lanes, 14 other cars, 20 decisions of one second each; a car may take 20, 25
or 30 m/s. A policy reads 18 numbers (`sense`): its own speed, its target speed and lane; and for
the lanes to the left, its own and to the right whether there is one, the gaps ahead and behind in
metres, and how fast they close in m/s. The *expert* is the rule with a time to collision of 4 s.
Clones are trained on its actions.

- task "drive": each policy on the same 100 traffics (language: 30). `agree` of `states` actions
  are the expert's on the expert's states, `agree_act` of `act` where the expert evades or brakes,
  and `agree_own` of `steps` on the policy's own. `impact` is the relative speed of a crash in m/s.
- tasks "scene ...": the rule of 4 s in traffic of five densities, and behind a stalled car.
- task "words": what SmolLM2 chooses on states of the expert, asked in several ways.
- task "perceive": is a collision no more than two steps ahead? From numbers, the picture, both.
"""

from collections.abc import Callable, Iterable
from functools import cache

import gymnasium
import highway_env
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import lleval_lib as ll

ACTIONS = ("left", "keep", "right", "faster", "slower")
LEFT, KEEP, RIGHT, FASTER, SLOWER = range(5)
FAR, LANES = 100.0, 3
EPISODES, LANGUAGE_EPISODES, TRAINING_FROM = 100, 30, 10_000
SCENES, SCENE_EPISODES = ("0.6", "0.8", "1.0", "1.2", "1.4", "stalled"), 120
WORDS_STATES = 60
SIMPLE = ("slower", "keep", "random")
RULES = {"rule 2 s": (2.0, 8.0), "rule 4 s": (4.0, 8.0), "rule 6 s": (6.0, 12.0)}
CLONES = {
    "line 100": ("line", 100, ""),
    "line 100 + last": ("line", 100, "last"),
    "tree 100": ("tree", 100, ""),
    "net 10": ("net", 10, ""),
    "net 10 + last": ("net", 10, "last"),
    "net 100": ("net", 100, ""),
    "net 100, seed 1": ("net", 100, "seed"),
    "net 100 + last": ("net", 100, "last"),
    "net 100, own lane": ("net", 100, "lane"),
    "net 200": ("net", 200, ""),
    "net 100 + 100 own": ("net", 100, "own"),
}
# How the language model is asked: the order of the actions, and their names.
NAMES = {
    "plain": (
        "change to the left lane",
        "keep speed",
        "change to the right lane",
        "speed up",
        "slow down",
    ),
    "renamed": ("go left", "hold", "go right", "accelerate", "brake"),
}
WORDINGS = ("plain", "reversed", "renamed")
INPUTS = ("numbers", "action", "picture", "two pictures", "both", "both, split by state")
INPUTS += ("picture not scaled",)
SYSTEMS = (
    *SIMPLE,
    *RULES,
    *CLONES,
    *(f"scene {name}" for name in SCENES),
    *(f"perceive {name}" for name in INPUTS),
    *(f"words {name}" for name in WORDINGS),
    "language plain",
)


def build(system: str) -> pd.DataFrame:
    """Return the records of one of `SYSTEMS`."""
    kind, _, rest = system.partition(" ")
    if kind == "scene":
        return scene(rest)
    if kind == "perceive":
        return perceived(rest)
    if kind == "words":
        return worded(rest)
    episodes = LANGUAGE_EPISODES if kind == "language" else EPISODES
    return driven(system, range(episodes))


# The road


def road(density: float = 1.0, pictures: bool = False):
    """Return the environment; with `pictures` it renders without a screen."""
    config = {"vehicles_count": 14, "duration": 20, "vehicles_density": density}
    # We look with `sense`; the usual observation goes through pandas, two fifths of the time.
    config["observation"] = {"type": "AttributesObservation", "attributes": ["time"]}
    if pictures:
        config["offscreen_rendering"] = True
    mode = "rgb_array" if pictures else None
    return gymnasium.make("highway-fast-v0", config=config, render_mode=mode).unwrapped


def sense(env) -> np.ndarray:
    """Return the 18 numbers that a policy reads."""
    car = env.vehicle
    lane_here = car.lane_index[2]
    seen = [car.speed, float(car.speed_index), float(lane_here)]
    for lane in (lane_here - 1, lane_here, lane_here + 1):
        if not 0 <= lane < LANES:
            seen += [0.0] * 5
            continue
        front, rear = env.road.neighbour_vehicles(car, ("0", "1", lane))
        seen.append(1.0)
        for other, sign in ((front, 1), (rear, -1)):
            if other is None:
                seen += [FAR, 0.0]
            else:
                gap = sign * (other.position[0] - car.position[0]) - car.LENGTH
                seen += [min(FAR, gap), sign * (car.speed - other.speed)]
    return np.array(seen)


def rule(seen: np.ndarray, time: float = 4.0, near: float = 8.0) -> int:
    """Return an action: evade or brake what is nearer than `near` m + `time` s of closing."""
    left, here, right = seen[3:8], seen[8:13], seen[13:18]

    def free(lane, more=0.0):
        return lane[1] > near + time * max(0.0, lane[2] + more)

    def open_to_us(lane):
        return lane[0] and free(lane) and lane[3] > near + time * max(0.0, lane[4])

    if not free(here):
        sides = [(lane[1], a) for lane, a in ((left, LEFT), (right, RIGHT)) if open_to_us(lane)]
        return max(sides)[1] if sides and max(sides)[0] > here[1] else SLOWER
    return FASTER if seen[1] < 2 and free(here, 5.0) else KEEP


Policy = Callable[[np.ndarray, int, np.random.Generator], int]


def policy(system: str) -> Policy:
    """Return a function of what is seen, the last action and a generator, to an action."""
    if system == "random":
        return lambda seen, last, rng: int(rng.integers(5))
    if system in SIMPLE:
        action = ACTIONS.index(system)
        return lambda seen, last, rng: action
    if system in RULES:
        return lambda seen, last, rng: rule(seen, *RULES[system])
    if system in CLONES:
        return clone(system)
    wording = system.removeprefix("language ")
    return lambda seen, last, rng: int(chosen([seen], wording)[0])


def drive(act: Policy, seed: int, density: float = 1.0, stalled: bool = False) -> dict:
    """Return one episode: what was seen and done, and how it ended."""
    env, rng = road(density), np.random.default_rng(seed)
    env.reset(seed=seed)
    if stalled:
        stall(env)
    meter = watch(env)
    start, last, over, total = env.vehicle.position[0], KEEP, False, 0.0
    seen, done = [], []
    while not over:
        seen.append(sense(env))
        done.append(act(seen[-1], last, rng))
        _, reward, crashed, ended, _ = env.step(done[-1])
        last, over, total = done[-1], crashed or ended, total + reward
    return {
        "seen": np.array(seen),
        "done": np.array(done),
        "crash": bool(env.vehicle.crashed),
        "metres": env.vehicle.position[0] - start,
        "impact": meter["impact"],
        "ret": total,
    }


def stall(env) -> None:
    """Stop the next car ahead in our lane, if none is there one that is put 90 m ahead."""
    car = env.vehicle
    front, _ = env.road.neighbour_vehicles(car, car.lane_index)
    x = max(car.position[0] + 90.0, front.position[0] if front else 0.0)
    # highway-env draws obstacles as such; a stopped car is a car with no plan to move.
    base = highway_env.vehicle.kinematics.Vehicle
    still = base(env.road, [x, car.position[1]], speed=0.0)
    still.check_collisions = False
    if front and front.position[0] >= x:
        env.road.vehicles.remove(front)
    env.road.vehicles.append(still)


def watch(env) -> dict:
    """Return a dictionary that gets "impact", the relative speed at the first crash, in m/s."""
    found, step = {"impact": np.nan}, env.road.step

    def stepped(dt):
        before = {id(car): car.velocity.copy() for car in env.road.vehicles}
        step(dt)
        if env.vehicle.crashed and np.isnan(found["impact"]):
            hit = [c for c in env.road.vehicles if c.crashed and c is not env.vehicle]
            if hit:
                apart = [np.linalg.norm(c.position - env.vehicle.position) for c in hit]
                other = before[id(hit[int(np.argmin(apart))])]
                found["impact"] = float(np.linalg.norm(before[id(env.vehicle)] - other))

    env.road.step = stepped
    return found


# The expert, and who learns from it


@cache
def expert(seed: int) -> dict:
    return drive(policy("rule 4 s"), seed)


def lasts(done: np.ndarray) -> np.ndarray:
    """Return the action before each."""
    return np.concatenate([[KEEP], done[:-1]])


def with_last(seen: np.ndarray, last: np.ndarray) -> np.ndarray:
    return np.column_stack([seen, np.eye(5)[last]])


@cache
def clone(system: str) -> Policy:
    """Return a policy trained on the expert's actions."""
    kind, episodes, special = CLONES[system]
    runs = [expert(TRAINING_FROM + i) for i in range(episodes)]
    seen = np.concatenate([run["seen"] for run in runs])
    done = np.concatenate([run["done"] for run in runs])
    last = np.concatenate([lasts(run["done"]) for run in runs])
    if special == "own":  # the states of a clone on as many other traffics, the expert's actions
        base = clone("net 100")
        more = [drive(base, TRAINING_FROM + episodes + i)["seen"] for i in range(episodes)]
        seen = np.concatenate([seen, *more])
        done = np.concatenate([done, *[[rule(row) for row in run] for run in more]])
    model = {
        "line": LogisticRegression(max_iter=2_000),
        "tree": DecisionTreeClassifier(max_depth=5, random_state=0),
        "net": MLPClassifier((64, 64), max_iter=2_000, random_state=int(special == "seed")),
    }[kind]
    model = make_pipeline(StandardScaler(), model)

    def taken(rows, before):
        if special == "last":
            return with_last(rows, before)
        return rows[:, [0, 1, 2, *range(8, 13)]] if special == "lane" else rows

    model.fit(taken(seen, last), done)

    def act(row, before, rng=None):
        return int(model.predict(taken(row[None], np.array([before])))[0])

    return act


def driven(system: str, seeds: Iterable[int]) -> pd.DataFrame:
    """Return the records of a policy, one row a traffic."""
    act, rows = policy(system), []
    for seed in seeds:
        run, of_expert = drive(act, seed), expert(seed)
        rng = np.random.default_rng(seed)
        said = [
            act(seen, before, rng)
            for seen, before in zip(of_expert["seen"], lasts(of_expert["done"]), strict=True)
        ]
        same = np.array(said) == of_expert["done"]
        acts = np.isin(of_expert["done"], (LEFT, RIGHT, SLOWER))
        own = [rule(row) for row in run["seen"]] == run["done"]
        rows.append(
            outcome(run)
            | {"agree": same.sum(), "states": len(same), "agree_act": same[acts].sum()}
            | {"act": acts.sum(), "agree_own": own.sum()}
        )
    return episode_records(system, "drive", seeds, pd.DataFrame(rows))


def outcome(run: dict) -> dict:
    kept = {"metres": round(run["metres"], 1), "impact": round(run["impact"], 1)}
    return {"crash": run["crash"], "steps": len(run["done"]), "ret": round(run["ret"], 2)} | kept


def episode_records(system, task, seeds, table: pd.DataFrame) -> pd.DataFrame:
    names = [f"{seed}" for seed in seeds]
    items = pd.DataFrame({"item_id": names, "cluster": names, "target": "safe"})
    crash = table.pop("crash").to_numpy()
    prediction = np.where(crash, "crash", "safe")
    more = {name: table[name].to_numpy(float) for name in table}
    return ll.make_records(system, task, items, prediction=prediction, score=~crash, **more)


def scene(name: str) -> pd.DataFrame:
    """Return the records of the rule of 4 s in one kind of traffic."""
    act, stalled = policy("rule 4 s"), name == "stalled"
    density = 0.8 if stalled else float(name)
    seeds = range(SCENE_EPISODES)
    runs = [outcome(drive(act, 20_000 + seed, density, stalled)) for seed in seeds]
    return episode_records("rule 4 s", f"scene {name}", seeds, pd.DataFrame(runs))


# The language model


def prompts(seen: np.ndarray, wording: str) -> tuple[str, tuple[str, ...]]:
    """Return what is written about a state, and the five actions; without a state if None."""
    names = NAMES["renamed" if wording.startswith("renamed") else "plain"]
    listed = names[::-1] if wording.startswith("reversed") else names
    lines = ["You drive a car on a highway with three lanes."]
    if seen is None:
        lines.append("N/A")
    else:
        lines.append(f"Your speed is {seen[0]:.0f} m/s.")
        for name, at in (("the left lane", 3), ("your lane", 8), ("the right lane", 13)):
            there, gap, closing = seen[at : at + 3]
            if not there:
                lines.append(f"There is no {name[4:]}.")
            elif gap >= FAR:
                lines.append(f"In {name} the road ahead is free.")
            else:
                how = "closing" if closing > 0 else "opening"
                car = f"a car is {max(gap, 0):.0f} m ahead, {how} at {abs(closing):.0f} m/s"
                lines.append(f"In {name} {car}.")
    lines += ["Possible actions: " + ", ".join(listed) + ".", "The safe action is to"]
    return "\n".join(lines), names


@cache
def language_model() -> ll.LM:
    return ll.load_lm()


def loglikelihoods(states, wording: str) -> np.ndarray:
    """Return the log-likelihood of each action in each state, nats, shape (states, 5)."""
    asked = []
    for seen in states:
        text, names = prompts(seen, wording)
        asked += [(text, f" {name}") for name in names]
    return ll.loglikelihood(language_model(), asked).reshape(-1, 5)


def chosen(states, wording: str) -> np.ndarray:
    """Return the likeliest action."""
    return loglikelihoods(states, wording).argmax(axis=1)


def worded(wording: str) -> pd.DataFrame:
    """Return what the model chooses on states of the expert, half of them where it acts.

    The last item, "none", has "N/A" in place of a state; its target means nothing.
    """
    seen, done, episode = (
        np.concatenate([f(expert(i), i) for i in range(EPISODES)])
        for f in (
            lambda run, i: run["seen"],
            lambda run, i: run["done"],
            lambda run, i: np.full(len(run["done"]), i),
        )
    )
    rng, kinds = np.random.default_rng(0), np.isin(done, (KEEP, FASTER))
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(kinds == kind), WORDS_STATES // 2, replace=False)
            for kind in (True, False)
        ]
    )
    logliks = loglikelihoods([*seen[rows], None], wording)
    names = np.array(ACTIONS)
    said = names[logliks.argmax(axis=1)]
    items = pd.DataFrame(
        {
            "item_id": [*(f"{row}" for row in rows), "none"],
            "cluster": [*(f"{i}" for i in episode[rows]), "none"],
            "target": [*names[done[rows]], "keep"],
        }
    )
    return ll.make_records(
        f"language {wording}",
        "words",
        items,
        prediction=said,
        score=said == items.target,
        logliks={name: np.round(logliks[:, k], 2) for k, name in enumerate(names)},
    )


# Perception

PERCEIVED, TESTED, AHEAD, SEEDS = 160, 50, 2, 2


@cache
def states() -> dict[str, np.ndarray]:
    """Return states of random driving: numbers, pictures, the action, and a crash ahead or not."""
    env = road(1.0, pictures=True)
    found: dict[str, list] = {"numbers": [], "picture": [], "action": [], "episode": []}
    crash = []
    for i in range(PERCEIVED):
        rng, over, n = np.random.default_rng(30_000 + i), False, 0
        env.reset(seed=30_000 + i)
        while not over:
            found["numbers"].append(sense(env))
            found["picture"].append(small(env.render()))
            found["action"].append(int(rng.integers(5)))
            found["episode"].append(i)
            _, _, crashed, ended, _ = env.step(found["action"][-1])
            over, n = crashed or ended, n + 1
        left = np.arange(n, 0, -1)
        crash.append((left <= AHEAD) & env.vehicle.crashed)
    env.close()
    kept = {name: np.array(values) for name, values in found.items()}
    pictures = kept["picture"]
    before = np.concatenate([pictures[:1], pictures[:-1]])
    first = np.diff(kept["episode"], prepend=-1) > 0
    before[first] = pictures[first]
    return kept | {"before": before, "crash": np.concatenate(crash)}


def small(picture: np.ndarray) -> np.ndarray:
    """Return 150 by 600 pixels as 50 by 200 greys, 0 to 1; a black one is an error."""
    if picture.std() == 0:
        raise ValueError("the picture is blank: leave SDL_VIDEODRIVER unset")
    grey = picture.mean(axis=2).reshape(50, 3, 200, 3).mean((1, 3)) / 255
    return grey.astype(np.float32)


class Reader(torch.nn.Module):
    """Read numbers, pictures or both; one logit."""

    def __init__(self, numbers: int, channels: int):
        super().__init__()
        self.numbers, self.channels = numbers, channels
        width = 0
        if numbers:
            self.of_numbers = torch.nn.Sequential(torch.nn.Linear(numbers, 32), torch.nn.ReLU())
            width += 32
        if channels:
            layers: list[torch.nn.Module] = []
            for before, after in ((channels, 16), (16, 32), (32, 32)):
                layers += [torch.nn.Conv2d(before, after, 3, 2, 1), torch.nn.ReLU()]
            pooled = [torch.nn.AdaptiveAvgPool2d((3, 12)), torch.nn.Flatten()]
            last = [torch.nn.Linear(32 * 36, 32), torch.nn.ReLU()]
            self.of_pictures = torch.nn.Sequential(*layers, *pooled, *last)
            width += 32
        self.out = torch.nn.Linear(width, 1)

    def forward(self, numbers, pictures):
        parts = []
        if self.numbers:
            parts.append(self.of_numbers(numbers))
        if self.channels:
            parts.append(self.of_pictures(pictures))
        return self.out(torch.cat(parts, 1)).squeeze(1)


def perceived(name: str) -> pd.DataFrame:
    """Return the records of one reader on the test states; "both" also with an input replaced."""
    data = states()
    numbers, pictures = inputs(data, name)
    crash, episode = data["crash"], data["episode"]
    test = episode >= PERCEIVED - TESTED
    if name.endswith("split by state"):
        test = np.random.default_rng(0).permutation(test)
    train = ~test
    mean, sd = numbers[train].mean(0), numbers[train].std(0) + 1e-6
    numbers = torch.tensor((numbers - mean) / sd, dtype=torch.float32)
    if not name.endswith("not scaled"):
        middle = pictures[train].mean(0)
        pictures = (pictures - middle) / (pictures[train] - middle).std()
    pictures = torch.tensor(pictures)
    uses_numbers = "picture" not in name
    uses_pictures = name not in ("numbers", "action")
    logits = []
    for seed in range(SEEDS):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Reader(numbers.shape[1] * uses_numbers, pictures.shape[1] * uses_pictures)
        taught(model, numbers, pictures, torch.tensor(crash, dtype=torch.float32), train, seed)
        ways = {"": np.flatnonzero(test)}
        if name == "both":
            order = np.flatnonzero(test)
            other = order[ll.permute_within(np.zeros(len(order), int), rng=seed)]
            ways |= {", picture permuted": (order, other), ", numbers permuted": (other, order)}
        for way, rows in ways.items():
            a, b = rows if isinstance(rows, tuple) else (rows, rows)
            with torch.inference_mode():
                logits.append((way, model(numbers[a], pictures[b]).numpy()))
    rows = np.flatnonzero(test)
    names = np.array(["safe", "crash"])
    items = pd.DataFrame(
        {
            "item_id": [f"{row}" for row in rows],
            "cluster": [f"{i}" for i in episode[rows]],
            "target": names[crash[rows].astype(int)],
        }
    )
    tables = []
    for way in dict.fromkeys(way for way, _ in logits):
        mean_logit = np.mean([values for w, values in logits if w == way], axis=0)
        said = mean_logit > 0
        tables.append(
            ll.make_records(
                name + way,
                "perceive",
                items,
                prediction=names[said.astype(int)],
                score=said == crash[rows],
                logit=np.round(mean_logit, 2),
            )
        )
    return pd.concat(tables, ignore_index=True)


def inputs(data: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers and the pictures, (states, channels, 50, 200), that a reader has."""
    numbers = np.eye(5)[data["action"]] if name == "action" else data["numbers"]
    channels = [data["picture"], data["before"]] if name == "two pictures" else [data["picture"]]
    return numbers, np.stack(channels, 1)


def taught(model, numbers, pictures, crash, train: np.ndarray, seed: int) -> None:
    rows_of = np.flatnonzero(train)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)

    def loss(batch):
        rows = rows_of[batch]
        logits = model(numbers[rows], pictures[rows])
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, crash[rows])

    epochs = 20 if model.channels else 40
    ll.fit(model, loss, len(rows_of), optimizer=optimizer, epochs=epochs, batch_size=64, rng=seed)
    model.eval()
