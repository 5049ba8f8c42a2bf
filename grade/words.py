"""What the grader says, in English and French."""

from __future__ import annotations

import os
from collections.abc import Mapping

LANGUAGES = ("en", "fr")

_EN = {
    "warning": "This runs your code: in a copy, with bounds on time, memory and output. "
    "It is no sandbox.",
    "done": "done",
    "not yet": "not yet",
    "waits": "waits for task {task}",
    "called": "called",
    "expected": "expected",
    "got": "got",
    "line": "line",
    "sheet": "sheet",
    "chapter": "chapter",
    "hint": "hint",
    "time": "no end: its time ran out",
    "memory": "its memory ran out",
    "ended": "the process ended here (status {status})",
    "no error": "no error",
    "summary": "{done} of {all} tasks are done.",
    "next": "Go on with task {task}: {chapter}",
    "finished": "Every task is done. What an attacker makes of it: make attack FOLDER={folder}",
    "form": "Form (no task depends on it)",
    "form is fine": "Form: nothing to remark.",
    "before": "before",
    "after": "after",
    "answer": "answer",
    "no rows": "no rows",
    "started": "made {names} in {folder}",
    "kept": "there already, left as it was: {name}",
    "begin": "Begin with task 1, {chapter}, and look how far you are with: "
    "make grade FOLDER={folder}",
    "no folder": "{folder} is no folder. Make an empty beginning with: make start FOLDER={folder}",
    "no file": "none of user.py, db.py, auth.py and app.py is in {folder}",
    "no task": "the sheet has the tasks 1 to {last}",
    "watching": "Waiting for a change of the files; Ctrl-C ends it.",
    "lab": "Open this link in a browser on this machine; Ctrl-C ends it: {link}",
    "lab title": "Lab",
    "lab intro": "Choose a task and try it: each call is shown with the rows of the table before "
    "and after it, and what it answered.",
    "tasks": "tasks",
    "try": "Try it",
    "no key": "Open the lab by the link that make lab printed.",
    "yours": "yours",
    "the service": "the service",
    "won": "WON",
    "untried": "could not be tried",
    "refused": "refused",
    "no attack": "no attack on the exercise is named {attack}; docs/attacks.md lists them",
    "close it": "Close one yourself, then: make grade FOLDER={folder} MENDED=1 ONLY=A01",
    "cost": "Here your app hashes at cost {cost}, {rounds} rounds, so that floods take seconds; it "
    "asks for 12, which is 4096.",
    "closed": "closed",
    "open": "OPEN",
    "repairs": "Repairs (the attack of the chapter must lose, and the sheet still hold)",
    "folder": "folder",
    "first open": "first open task",
}
_FR = {
    "warning": "Votre code est exécuté : dans une copie, avec des bornes de temps, de mémoire et "
    "de sortie. Ce n'est pas un bac à sable.",
    "done": "fait",
    "not yet": "pas encore",
    "waits": "attend la tâche {task}",
    "called": "appelé",
    "expected": "attendu",
    "got": "obtenu",
    "line": "ligne",
    "sheet": "énoncé",
    "chapter": "chapitre",
    "hint": "indice",
    "time": "sans fin : le temps est écoulé",
    "memory": "la mémoire est épuisée",
    "ended": "le processus s'est terminé ici (statut {status})",
    "no error": "aucune erreur",
    "summary": "{done} tâches sur {all} sont faites.",
    "next": "Continuez avec la tâche {task} : {chapter}",
    "finished": "Toutes les tâches sont faites. Ce qu'un attaquant en fait : "
    "make attack FOLDER={folder}",
    "form": "Forme (aucune tâche n'en dépend)",
    "form is fine": "Forme : rien à signaler.",
    "before": "avant",
    "after": "après",
    "answer": "réponse",
    "no rows": "aucune ligne",
    "started": "{names} créés dans {folder}",
    "kept": "déjà là, laissé tel quel : {name}",
    "begin": "Commencez par la tâche 1, {chapter}, et voyez où vous en êtes avec : "
    "make grade FOLDER={folder}",
    "no folder": "{folder} n'est pas un dossier. Créez un début vide avec : "
    "make start FOLDER={folder}",
    "no file": "aucun des fichiers user.py, db.py, auth.py et app.py n'est dans {folder}",
    "no task": "l'énoncé a les tâches 1 à {last}",
    "watching": "En attente d'un changement des fichiers ; Ctrl-C pour finir.",
    "lab": "Ouvrez ce lien dans un navigateur de cette machine ; Ctrl-C pour finir : {link}",
    "lab title": "Labo",
    "lab intro": "Choisissez une tâche et essayez-la : chaque appel est montré avec les lignes de "
    "la table avant et après, et sa réponse.",
    "tasks": "tâches",
    "try": "Essayer",
    "no key": "Ouvrez le labo par le lien que make lab a affiché.",
    "yours": "le vôtre",
    "the service": "le service",
    "won": "RÉUSSIE",
    "untried": "n'a pas pu être essayée",
    "refused": "refusée",
    "no attack": "aucune attaque de l'exercice ne s'appelle {attack} ; voyez docs/attacks.md",
    "close it": "Fermez-en une, puis : make grade FOLDER={folder} MENDED=1 ONLY=A01",
    "cost": "Ici votre application hache au coût {cost}, soit {rounds} tours, pour que les "
    "avalanches durent des secondes ; elle demande 12, soit 4096.",
    "closed": "fermée",
    "open": "OUVERTE",
    "repairs": "Réparations (l'attaque du chapitre doit échouer, et l'énoncé tenir toujours)",
    "folder": "dossier",
    "first open": "première tâche ouverte",
}
TEXTS: Mapping[str, Mapping[str, str]] = {"en": _EN, "fr": _FR}


def say(language: str, key: str, **values: object) -> str:
    """Return a text in a language, with these values in it."""
    return TEXTS[language][key].format(**values)


def of_the_system(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language that the environment asks for, English where we have no other."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if said := environment.get(name):
            return "fr" if said.lower().startswith("fr") else "en"
    return "en"
