"""From a scikit-learn model to a proof that a contract verifies."""

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import assay

X, y = load_breast_cancer(return_X_y=True)
classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:400], y[:400])
model = assay.compile(classifier, calibrate=X[:400], weight_bits=14, activation_bits=12)
settled = assay.settle(model, X[400:401], progress=True)
verified = assay.verify(settled, settled.key, model_id=settled.key.id)
said = assay.verify_on_chain(settled, settled.key)
print(f"proven {verified.outputs}, float {classifier.predict_proba(X[400:401])}, {said.gas:,} gas")
